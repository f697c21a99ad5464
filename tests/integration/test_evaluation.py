"""From a finished run to a score and a report, as users type it."""

import json
import re

import pytest

from tests.conftest import run

pytestmark = [pytest.mark.fairseq, pytest.mark.s3prl]


def test_the_exported_folder_says_what_it_is_and_where_it_is_from(exported, checkpoint):
    config = json.loads((exported / "config.json").read_text())
    assert config["model"] == "budget_tera"
    assert config["encoder"]["encoder_embed_dim"] == 128
    assert config["provenance"]["num_updates"] == 20
    assert config["provenance"]["checkpoint"] == checkpoint.name


def test_the_s3prl_command_line_is_typed_literally(demo_folder, exported, tmp_path):
    run("budget-downstream", "layout", "--task", "ic", "--audio", demo_folder,
        "--out", tmp_path / "data")  # fmt: skip
    settings = {
        "config.downstream_expert.datarc.file_path": repr(str(tmp_path / "data")),
        "config.runner.total_steps": 4,
        "config.runner.eval_step": 2,
    }
    run("s3prl", "run_downstream.py", "-m", "train", "-u", "budget_upstream", "-k", exported,
        "-d", "fluent_commands", "-p", tmp_path / "out",
        "-o", ",,".join(f"{key}={value}" for key, value in settings.items()),
        cwd=tmp_path)  # fmt: skip
    assert "test at step 4" in (tmp_path / "out/log.log").read_text()


def test_a_raw_fairseq_checkpoint_is_an_upstream_too(checkpoint):
    code = (
        "import sys; sys.modules['fairseq'] = None\n"
        "import torch; from fairseq_budget.upstream.expert import UpstreamExpert\n"
        f"out = UpstreamExpert({str(checkpoint)!r})([torch.zeros(800)])\n"
        "assert len(out['hidden_states']) == 4\n"
    )
    run("python", "-c", code)


def test_the_report_has_a_table_and_figures(training, exported, data, tmp_path):
    run("budget-report", "run", "--log", training[0] / "train.log", "--checkpoint", exported,
        "--manifest", data / "valid.tsv", "--out", tmp_path)  # fmt: skip
    report = (tmp_path / "report.md").read_text()
    assert "| updates " in report
    for name in ("loss.png", "reconstruction.png"):
        assert f"({name})" in report
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_report_for_a_browser_tells_what_the_run_was_made_with(training, tmp_path):
    pytest.importorskip("plotly", reason="draws the report")
    run("budget-report", "html", training[0], "--out", tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text()
    assert "<h2>Provenance</h2>" in report
    assert f"checkpoint.save_dir={training[0]}" in report
    assert '"label":"FLOPs"' in report


def test_fairseqs_validation_and_ours_have_the_loss_that_training_logged(
    training, checkpoint, exported, data
):
    loss = re.findall(r"valid on 'valid' subset \| loss ([\d.]+)", training[1])[-1]
    done = run("fairseq-validate", data, "--path", checkpoint, "--task", "budget_pretraining",
               "--user-dir", "fairseq_budget", "--max-tokens", 128000)  # fmt: skip
    assert f"valid on 'valid' subset | loss {loss} |" in done.stdout
    done = run("budget-report", "evaluate", "--checkpoint", exported, "--manifest",
               data / "valid.tsv", "--max-tokens", 128000, "--json")  # fmt: skip
    assert json.loads(done.stdout)[0]["loss"] == float(loss)


def test_budget_export_refuses_what_is_not_ours(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"something else")
    done = run("budget-export", tmp_path / "x.pt", tmp_path / "out", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("budget-export: error:")
    assert not (tmp_path / "out").exists()


def test_budget_export_into_a_folder_that_cannot_be_written_is_an_error(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("budget-export", checkpoint, tmp_path / "file" / "out", check=False)
    assert done.returncode == 2
    assert "cannot write" in done.stderr
