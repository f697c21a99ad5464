"""One run in many sessions: stopped, killed, finished, started once more; on one process and two.

Whatever happened in between, weights, optimizer and counts are those of an uninterrupted run.
"""

import re
from pathlib import Path

import pytest
import torch

from fairseq_budget.cli.export import main as export
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.pretrained import read_pretrained
from tests.conftest import ROOT, on_two_processes, run, train_command
from tests.training_process import TrainingProcess

pytestmark = pytest.mark.fairseq

NUM_BATCHES = 7  # in an epoch
NUM_UPDATES = 18
SAVE_EVERY = ["checkpoint.save_interval_updates=2", "checkpoint.keep_interval_updates=2"]


def last_state(folder) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def assert_equal_states(ours: dict, theirs: dict) -> None:
    assert ours["task_state"] == theirs["task_state"]
    assert ours["extra_state"]["train_iterator"] == theirs["extra_state"]["train_iterator"]
    for key in ("model", "last_optimizer_state"):
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=0)


@pytest.fixture(scope="module")
def command(data):
    """A run of 18 updates in epochs of 7, up to any update: (folder, updates, overrides)."""
    pieces = len(Manifest.read(data / "train.tsv").utterances)
    batches = [f"dataset.batch_size={-(-pieces // NUM_BATCHES)}", "dataset.max_tokens=10000000"]

    def words(folder: Path, num_updates: int, *overrides: str) -> list[object]:
        return train_command(
            data, folder, f"lr_scheduler.total_num_update={NUM_UPDATES}",
            "task.max_sample_size=16000", "dataset.disable_validation=true",
            f"optimization.max_update={num_updates}",
            *SAVE_EVERY, *batches, *overrides,
        )  # fmt: skip

    return words


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(*command(folder, NUM_UPDATES))
    return last_state(folder)


def test_six_sessions_make_the_run_of_one(command, uninterrupted, tmp_path):
    last = tmp_path / "checkpoint_last.pt"
    run(*command(tmp_path, 3))  # stopped in the middle of an epoch
    TrainingProcess(command(tmp_path, NUM_UPDATES), ROOT).kill_once(tmp_path / "checkpoint_1_4.pt")
    run(*command(tmp_path, NUM_BATCHES))  # at its end
    run(*command(tmp_path, 9))
    TrainingProcess(command(tmp_path, NUM_UPDATES), ROOT).kill_once(tmp_path / "checkpoint_2_12.pt")
    last.write_bytes(last.read_bytes()[:1000])  # killed while saving
    done = run(*command(tmp_path, NUM_UPDATES, "common.log_interval=1"))
    log = done.stdout + done.stderr
    assert int(re.search(r"Loaded checkpoint .*@ (\d+) updates", log)[1]) >= 10
    assert_equal_states(last_state(tmp_path), uninterrupted)
    hours = float(re.search(r".* audio_hours=([\d.]+)", log, re.DOTALL)[1])
    assert hours == pytest.approx(uninterrupted["task_state"]["audio_hours"], abs=1e-4)

    before = last.read_bytes()
    for _ in range(2):
        done = run(*command(tmp_path, NUM_UPDATES))
        assert "updates are made: nothing to do" in done.stdout + done.stderr
    assert last.read_bytes() == before


def test_a_budget_is_kept_through_kills_and_ends_in_nothing_to_do(command, uninterrupted, tmp_path):
    budget = uninterrupted["task_state"]["flops"] * 0.6
    words = command(tmp_path, NUM_UPDATES, f"task.budget_flops={budget}")
    for saved in ("checkpoint_1_2.pt", "checkpoint_1_6.pt"):
        TrainingProcess(words, ROOT).kill_once(tmp_path / saved)
    done, again = run(*words), run(*words)
    log = done.stdout + done.stderr
    assert "is spent" in log
    assert "training would stop there" in log  # the schedule expects another total
    assert "is spent: nothing to do" in again.stdout + again.stderr
    state = last_state(tmp_path)
    num_updates = state["optimizer_history"][-1]["num_updates"]
    assert budget <= state["task_state"]["flops"] < budget * num_updates / (num_updates - 1)
    run(*command(tmp_path / "whole", NUM_UPDATES, f"task.budget_flops={budget}"))
    assert_equal_states(state, last_state(tmp_path / "whole"))


def test_a_checkpoint_says_what_every_session_was_made_with(command, data, tmp_path, capsys):
    for num_updates in (2, 4):
        run(*command(tmp_path, num_updates))
    first, last = last_state(tmp_path)["sessions"]
    assert "optimization.max_update=2" in first["command"]
    assert (first["from_update"], last["from_update"]) == (0, 2)
    assert last["data"]["train"]["manifest"] == Manifest.read(data / "train.tsv").hash
    exported = tmp_path / "exported"
    assert export([str(tmp_path / "checkpoint_last.pt"), str(exported)]) == 0
    provenance = read_pretrained(exported).provenance
    assert provenance["sessions"] == [first, last]
    assert (provenance["seed"], provenance["num_processes"]) == (1337, 1)
    assert provenance["optimizer"]["_name"] == "adam"
    assert f"manifest {last['data']['train']['manifest'][:12]}" in capsys.readouterr().out


def test_two_processes_stop_are_killed_and_go_on(command, tmp_path):
    def legs(folder: Path, num_updates: int) -> list[TrainingProcess]:
        return on_two_processes(command(folder, num_updates))

    def end(folder: Path, num_updates: int) -> None:
        ended = [process.wait() for process in legs(folder, num_updates)]
        assert [done.returncode for done in ended] == [0, 0], ended

    end(tmp_path / "whole", 10)
    end(tmp_path / "two", 3)
    first, second = legs(tmp_path / "two", 10)
    first.kill_once(tmp_path / "two/checkpoint_2_6.pt")
    second.kill()
    end(tmp_path / "two", 10)
    assert_equal_states(last_state(tmp_path / "two"), last_state(tmp_path / "whole"))
