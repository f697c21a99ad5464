"""The main command as users type it: from anywhere, on bad audio, on several processes."""

import itertools
import os
import re
import shutil
import sys

import pytest
import torch

from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.run.lock import hold_folder
from tests.conftest import ROOT, on_two_processes, run, train_command

pytestmark = pytest.mark.fairseq


def weights(path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_progress_losses_learning_rate_hours_and_eta_are_shown(training):
    lines = [line for line in training[1].splitlines() if "train_inner" in line]
    assert len(lines) == 4
    for word in ("loss", "reconstruction", "feature_penalty", "lr", "audio_hours", "num_updates"):
        assert all(f" {word}=" in line for line in lines), word
    assert "eta_hours=" in lines[-1]
    hours = [float(re.search(r"audio_hours=([\d.]+)", line)[1]) for line in lines]
    assert hours == sorted(hours)
    assert hours[-1] == pytest.approx(20 * 6 / 3600, rel=0.2)  # two pieces of 3 s per update
    losses = [float(re.search(r" loss=([\d.]+)", line)[1]) for line in lines]
    assert losses[-1] < losses[0]


def test_ten_lines_of_ours_come_before_the_first_progress(training):
    printed = training[1].splitlines()
    first = list(itertools.takewhile(lambda line: "[train_inner]" not in line, printed))
    words = ["valid: ", "train: ", "model: ", "objective: ", "batch: ", "cost: ", "updates: 20 ",
             "saves: ", "end: after 20 updates", "seed 1337, fp32, 1 process"]  # fmt: skip
    assert [word for word, line in zip(words, first, strict=True) if f" - {word}" not in line] == []
    assert "Warning" not in training[1]
    assert max(map(len, first)) < 250


def test_an_export_holds_the_losses_that_were_logged(training, exported):
    log = (training[0] / "train.log").read_text()
    losses = read_pretrained(exported).provenance["losses"]
    assert [*losses] == ["training", "validation"]
    assert [name for name, loss in losses.items() if f"loss {loss:.4g}" not in log] == []


def test_our_checkpoint_holds_nothing_that_needs_an_allow_list(checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    assert state["task_state"]["audio_hours"] > 0
    assert state["cfg"]["model"]["_name"] == "budget_tera"


def refusal(*command) -> str:
    done = run(*command, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_second_run_in_a_folder_and_one_of_another_size_are_refused(checkpoint, data, tmp_path):
    shutil.copy(checkpoint, tmp_path)
    with hold_folder(tmp_path):
        last = refusal(*train_command(data, tmp_path))
    assert f"save_dir={tmp_path} is in use by process {os.getpid()} on" in last
    last = refusal(*train_command(data, tmp_path, "model.size=slim"))
    assert "checkpoint_last.pt cannot go on with model.size=slim (was tiny)" in last
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == checkpoint.read_bytes()


def test_a_damaged_file_named_by_restore_file_is_refused_and_never_written(
    checkpoint, data, tmp_path
):
    damaged = tmp_path / "hubert.pt"
    damaged.write_bytes(checkpoint.read_bytes()[:1000])
    shutil.copy(checkpoint, tmp_path / "checkpoint_1.pt")
    named = f"checkpoint.restore_file={damaged}"
    assert f"{damaged} is not a" in refusal(*train_command(data, tmp_path / "run", named))
    assert damaged.stat().st_size == 1000


def test_packed_data_train_to_the_very_same_weights(training, data, tmp_path):
    run("budget-manifest", "pack", "--data", shutil.copytree(data, tmp_path / "packed"))
    for manifest in (tmp_path / "packed").glob("*.tsv"):
        manifest.unlink()
    done = run(*train_command(tmp_path / "packed", tmp_path, "dataset.num_workers=-1"))
    ours, theirs = (
        weights(tmp_path / "checkpoint_last.pt"),
        weights(training[0] / "checkpoint_last.pt"),
    )
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    for word in ("data_wait", "bad_audio"):
        assert f" {word}=" in done.stdout + done.stderr


def test_bad_audio_in_mid_run_is_named_replaced_counted_and_too_much_of_it_stops_the_run(
    data, tmp_path
):
    folder = shutil.copytree(data, tmp_path / "data")
    root, *lines = (folder / "train.tsv").read_text().splitlines()
    shutil.copytree(root, tmp_path / "audio")
    (folder / "train.tsv").write_text("\n".join([f"{tmp_path}/audio", *lines]) + "\n")
    broken = lines[0].partition("@")[0]
    (tmp_path / "audio" / broken).write_bytes(b"no audio")
    command = train_command(folder, tmp_path, "optimization.max_update=4", "common.log_interval=1")
    done = run(*command, "dataset.batch_size=100", "dataset.max_tokens=100000000")
    log = done.stdout + done.stderr
    assert re.search(rf"WARNING.*bad audio, another utterance takes its place: .*{broken}", log)
    assert int(re.search(r".* bad_audio=(\d+)", log, re.DOTALL)[1]) >= 1

    for path in sorted((tmp_path / "audio").rglob("*.wav"))[::4]:
        path.write_bytes(b"no audio")
    done = run(*train_command(folder, tmp_path / "second"), check=False)
    last = done.stderr[done.stderr.index("fairseq-hydra-train: error:") :]
    assert "task.max_bad_share=0.01: restore the files" in last
    assert last.count("Format not recognised") >= 3


def test_two_processes_equal_one_that_accumulates_twice(data, tmp_path):
    pieces = Manifest.read(data / "train.tsv").utterances
    per_batch = next(n for n in range(4, 13) if -(-len(pieces) // n) % 4 == 3)
    common = [f"dataset.batch_size={per_batch}", "dataset.max_tokens=600000"]
    num_updates = -(-len(pieces) // per_batch) // 4 + 2  # beyond an epoch that ends with 3 of 4
    common.append(f"optimization.max_update={num_updates}")
    run(*train_command(data, tmp_path / "one", "optimization.update_freq=[4]", *common))
    command = train_command(data, tmp_path / "two", "optimization.update_freq=[2]", *common)
    ended = [process.wait() for process in on_two_processes(command)]
    assert [done.returncode for done in ended] == [0, 0], ended
    ours, theirs = (weights(tmp_path / n / "checkpoint_last.pt") for n in ("one", "two"))
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("spelling", ["+task.user_dir", "common.user_dir"])
def test_it_works_from_any_folder_after_an_editable_install(data, tmp_path, spelling):
    command = train_command(
        data, tmp_path / "run", "optimization.max_update=1", config_dir=ROOT / "examples"
    )
    command = [word.replace("+task.user_dir", spelling) for word in map(str, command)]
    run(*command, cwd=tmp_path)
    assert (tmp_path / "run/checkpoint_last.pt").exists()


def test_it_works_from_any_folder_after_a_plain_install(data, tmp_path):
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
        "--target", target, ".")  # fmt: skip
    command = train_command(
        data, tmp_path / "run", "optimization.max_update=1", config_dir=ROOT / "examples"
    )
    done = run(*command, cwd=tmp_path, env={"PYTHONPATH": str(target), "BUDGET_DEBUG": "1"})
    assert f"'user_dir': '{target}/fairseq_budget'" in done.stdout + done.stderr
    assert "ModuleList(" in done.stdout  # debugging shows everything


def test_fp16_is_turned_off_where_there_is_no_gpu(data, tmp_path):
    command = train_command(data, tmp_path, "optimization.max_update=1", "common.fp16=true")
    done = run(*(word for word in command if word != "+task.user_dir=fairseq_budget"))
    if not torch.cuda.is_available():
        assert "training in float32" in done.stdout + done.stderr


def test_without_a_preset_one_message_lists_them():
    done = run(
        "fairseq-hydra-train", "--config-dir", "examples/", "+task.user_dir=fairseq_budget",
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "budget_tera_librispeech" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_error_is_one_line_with_the_cure(tmp_path):
    done = run(*train_command(tmp_path / "nothing", tmp_path), check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("fairseq-hydra-train: error:")
    assert "nothing' is no folder" in last
    assert "budget-manifest" in last
    assert "Traceback" not in done.stderr
