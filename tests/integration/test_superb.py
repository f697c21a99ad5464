"""Several tasks, learning rates and upstreams in one command, stopped and gone on with."""

import json
import shutil

import pytest

from fairseq_budget.cli.downstream.command import main
from tests.conftest import run

pytestmark = [pytest.mark.fairseq, pytest.mark.s3prl]


@pytest.fixture(scope="module")
def layouts(demo_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    for task in ("ic", "sid"):
        run("budget-downstream", "layout", "--task", task, "--audio", demo_folder,
            "--out", folder / task)  # fmt: skip
    return folder


def test_one_command_makes_one_table_and_goes_on_where_it_was_stopped(layouts, exported, tmp_path):
    command = [
        "budget-downstream", "superb", "--data", layouts, "--out", tmp_path,
        "--upstream", f"tera={exported}", "--logmel", "--lrs", "1e-2", "--updates", 4,
    ]  # fmt: skip
    for part in ("1/2", "2/2"):
        assert "2 of 2 runs" in run(*command, "--job", part).stdout
    table = run(*command).stdout
    assert "IC accuracy (%) ↑" in table
    assert "SID accuracy (%) ↑" in table
    cells = json.loads((tmp_path / "superb.json").read_text())
    assert [(cell["task"], cell["upstream"]) for cell in cells] == [
        ("ic", "tera"), ("ic", "log-mel"), ("sid", "tera"), ("sid", "log-mel"),
    ]  # fmt: skip
    layers = cells[0]["layer_weights"]
    assert len(layers) == 4
    assert sum(layers) == pytest.approx(1, abs=1e-3)
    assert cells[1]["layer_weights"] is None
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")
    assert r"\toprule" in (tmp_path / "superb.tex").read_text()
    assert not list(tmp_path.rglob("*.ckpt"))

    shutil.rmtree(tmp_path / "ic/tera")  # of a run that was killed
    shutil.rmtree(tmp_path / "states")  # what is kept there changes nothing
    assert run(*command).stdout == table


def test_the_leaderboards_score_is_not_of_other_corpora(layouts, tmp_path, capsys):
    command = ["superb", "--data", str(layouts), "--out", str(tmp_path), "--logmel"]
    assert main([*command, "--leaderboard-score"]) == 2
    assert "ic, sid: expected SUPERB's own corpora" in capsys.readouterr().err


def test_a_dry_run_prints_the_commands_and_what_they_cost(layouts, tmp_path):
    done = run("budget-downstream", "superb", "--data", layouts, "--tasks", "ic", "--out", tmp_path,
               "--logmel", "--lrs", "1e-2,1e-3", "--dry-run")  # fmt: skip
    assert done.stdout.count("s3prl run_downstream.py -m train -d fluent_commands") == 2
    assert "| ic   | 2    | 400 " in done.stdout
    assert not list(tmp_path.rglob("result.json"))


def test_what_learns_nothing_is_evaluated_at_each_layer(demo_folder, tmp_path):
    pytest.importorskip("dtw")
    data, out = tmp_path / "layouts", tmp_path / "out"
    run("budget-downstream", "layout", "--task", "qbe", "--audio", demo_folder,
        "--out", data / "qbe")  # fmt: skip
    command = ["budget-downstream", "superb", "--data", data, "--out", out, "--logmel"]
    planned = run(*command, "--dry-run").stdout
    for part in ("dev", "test"):
        assert f"s3prl run_downstream.py -m evaluate -t {part} -d quesst14_dtw" in planned
    assert "runs that learn nothing, and are not measured: 1" in planned
    assert not out.exists()
    table = run(*command).stdout
    assert "QBE MTWV (%) ↑" in table
    [cell] = json.loads((out / "superb.json").read_text())
    assert (cell["layer"], cell["learning_rate"]) == (0, None)
    assert f"| {cell['layer']} " in (out / "superb.md").read_text()
    result = out / "qbe/log-mel/layer0/seed0/result.json"
    before = result.stat().st_mtime_ns
    assert run(*command).stdout == table
    assert result.stat().st_mtime_ns == before
