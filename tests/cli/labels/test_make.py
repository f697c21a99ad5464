"""``budget-labels`` as users type it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fairseq_budget.audio.io import AudioError
from fairseq_budget.cli.labels.command import main
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, save_pretrained
from tests.conftest import BIN, run

pytestmark = pytest.mark.slow

CLUSTERS = ("--clusters", "20", "--workers", "1")


@pytest.fixture
def folder(demo_folder, tmp_path) -> Path:
    run("budget-manifest", "--trainpref", demo_folder / "train", "--validpref",
        demo_folder / "valid", "--destdir", tmp_path / "data")  # fmt: skip
    return tmp_path / "data"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    config = EncoderConfig(size="tiny", encoder_layers=2)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    path = tmp_path_factory.mktemp("teacher") / "exported"
    save_pretrained(path, Pretrained("budget_hubert", config, {}, state))
    return path


def budget_labels(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def hashes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def error_of(capsys, *arguments: object) -> str:
    assert budget_labels(*arguments) == 2
    error = capsys.readouterr().err
    assert error.count("budget-labels: error:") == 1
    assert "Traceback" not in error
    return error


def test_make_prints_a_verdict_with_purity(folder, demo_folder, capsys):
    phones = demo_folder / "phones.tsv"
    assert budget_labels("make", "--data", folder, *CLUSTERS, "--alignments", phones) == 0
    out = capsys.readouterr().out
    assert "| split | utterances | frames" in out
    assert "PNMI" in out
    assert "valid: " in out


def test_json_holds_figures_that_are_those_of_speech(folder, demo_folder, capsys):
    phones = demo_folder / "phones.tsv"
    budget_labels("make", "--data", folder, *CLUSTERS, "--alignments", phones, "--json")
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["labels"]["label_rate"] == 100
    train = outcome["splits"]["train"]
    assert train["num_empty_clusters"] == 0
    assert 3 < train["entropy_bits"] < 4.33
    assert train["phone_purity"] > 1.5 * train["largest_phone"]
    assert 0.2 < train["pnmi"] < 0.8
    assert set(outcome["seconds"]) == {"fit", "apply"}


def test_the_steps_write_what_make_writes(folder, tmp_path, capsys):
    steps = tmp_path / "steps"
    shutil.copytree(folder, steps)
    budget_labels("make", "--data", folder, *CLUSTERS)
    budget_labels("fit", "--data", steps, *CLUSTERS)
    for shard in (1, 0):
        budget_labels("apply", "--data", steps, "--num-shards", 2, "--shard", shard, "--workers", 1)
    assert hashes(steps) == hashes(folder)
    assert budget_labels("check", "--data", steps) == 0
    assert "20 (0)" in capsys.readouterr().out


def test_apply_refuses_before_a_model_is_fitted(folder, capsys):
    error = error_of(capsys, "apply", "--data", folder, "--num-shards", 2, "--shard", 1)
    assert "run `budget-labels fit" in error


def test_shards_come_from_the_environment_when_asked(folder, capsys, monkeypatch):
    budget_labels("fit", "--data", folder, *CLUSTERS)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "4")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    capsys.readouterr()
    budget_labels("apply", "--data", folder, "--shard", "auto", "--workers", 1)
    assert "shard 1 of 2 is done" in capsys.readouterr().out
    for name in ("ID", "MIN", "COUNT"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}")
    assert "are set; give --num-shards" in error_of(
        capsys, "apply", "--data", folder, "--shard", "auto"
    )
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    budget_labels("apply", "--data", folder, "--shard", "auto", "--workers", 1)
    assert "train" in capsys.readouterr().out
    assert (folder / "labels.json").exists()


def test_a_layer_of_a_checkpoint_gives_labels_at_50_hz(folder, teacher, capsys):
    layer = ("--checkpoint", teacher, "--layer", 2, "--workers", 1)
    budget_labels("make", "--data", folder, "--clusters", 10, *layer)
    info = json.loads((folder / "labels.json").read_text())
    assert info["label_rate"] == 50
    assert info["feature"] == {"kind": "layer", "layer": 2, "checkpoint": "exported"}
    assert len(info["teacher_sha256"]) == 64
    (folder / "valid.km").unlink()
    assert "not on {'kind': 'mfcc'}" in error_of(capsys, "apply", "--data", folder)
    assert budget_labels("apply", "--data", folder, *layer) == 0


def test_another_checkpoint_than_that_of_the_fit_is_refused(folder, teacher, tmp_path, capsys):
    layer = ("--layer", 1, "--workers", 1)
    budget_labels("fit", "--data", folder, "--clusters", 10, "--checkpoint", teacher, *layer)
    config = EncoderConfig(size="tiny", encoder_layers=2)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path / "other", Pretrained("budget_hubert", config, {}, state))
    error = error_of(capsys, "apply", "--data", folder, "--checkpoint", tmp_path / "other", *layer)
    assert "with other weights than" in error


def test_check_finds_labels_of_another_manifest(folder, capsys):
    budget_labels("make", "--data", folder, *CLUSTERS)
    path = folder / "train.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "made for another manifest" in error_of(capsys, "check", "--data", folder)


def test_check_finds_a_single_bad_line(folder, capsys):
    budget_labels("make", "--data", folder, *CLUSTERS)
    path = folder / "train.km"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], "1 2 3"]) + "\n")
    assert "train.km has changed since" in error_of(capsys, "check", "--data", folder)
    described = folder / "train.km.json"  # of another program, which has no hash
    content = json.loads(described.read_text())
    del content["sha256"]
    described.write_text(json.dumps(content))
    error = error_of(capsys, "check", "--data", folder)
    assert f"train.km, line {len(lines)}: 3 labels for" in error


def test_check_refuses_labels_of_simple_kmeans_that_nothing_describes(folder, capsys):
    (folder / "train.km").write_text("1 2 3\n")
    assert "labels.json is missing" in error_of(capsys, "check", "--data", folder)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["make", "--clusters", 1], "fewer than 2"),
        (["make", "--clusters", 5, "--layer", 2], "of which --checkpoint"),
        (["make", "--clusters", 5, "--checkpoint", "x"], "needs --layer"),
        (["make", "--clusters", 5, "--checkpoint", "x", "--layer", 1], "does not exist"),
        (["make", "--clusters", 5, "--sample-hours", -1], "expected a positive sample"),
        (["make", "--clusters", 500, "--sample-frames", 100], "100 frames for 500 clusters"),
        (["make", "--clusters", 5, "--fit-split", "no"], "cannot read the manifest"),
        (["make", "--clusters", 5, "--splits", "train", "no"], "cannot read the manifest"),
        (["make", "--clusters", 5, "--alignments", "no"], "cannot read the alignments"),
        (["check"], "holds no labels"),
    ],
)
def test_arguments_that_do_not_fit_are_errors_in_one_line(folder, capsys, arguments, match):
    assert match in error_of(capsys, arguments[0], "--data", folder, *arguments[1:])


@pytest.mark.parametrize("shards", [["--shard", 1], ["--num-shards", 2],
                                    ["--num-shards", 2, "--shard", 2],
                                    ["--num-shards", 2, "--shard", "x"]])  # fmt: skip
def test_shards_that_do_not_fit_are_errors(folder, capsys, shards):
    budget_labels("fit", "--data", folder, *CLUSTERS)
    assert "--shard" in error_of(capsys, "apply", "--data", folder, *shards)


def test_features_are_dumped_when_asked(folder, tmp_path):
    dump = tmp_path / "features"
    budget_labels("make", "--data", folder, *CLUSTERS, "--dump-features", dump)
    assert {path.name for path in dump.glob("*.npy")} == {"train_0_1.npy", "valid_0_1.npy"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sigkill_and_start_again_gives_the_same_bytes(folder, tmp_path, seed):
    """Killed with its workers under way; they end with it, and the same command goes on."""
    manifest = folder / "train.tsv"
    root, *lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([root, *lines * 12]) + "\n")  # long enough to be killed
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)
    arguments = ("--clusters", "20", "--workers", "2")
    command = [BIN / "budget-labels", "make", "--data"]
    process = subprocess.Popen([*command, killed, *arguments], stderr=subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    while not (killed / ".budget_labels").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 2))
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert (killed / ".budget_labels").exists() or (killed / "train.km").exists()
    run(*command, killed, *arguments)
    budget_labels("make", "--data", folder, "--clusters", "20", "--workers", "1")
    assert hashes(killed) == hashes(folder)


def test_files_that_cannot_be_read_are_named_and_have_no_labels_until_they_can(
    folder, tmp_path, capsys
):
    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    manifest = Manifest.read(folder / "train.tsv")
    shutil.copytree(manifest.root, tmp_path / "audio")
    Manifest(tmp_path / "audio", manifest.utterances).write(bad / "train.tsv")
    path = tmp_path / "audio" / manifest.utterances[3].name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    assert budget_labels("make", "--data", bad, *CLUSTERS) == 0
    assert f"without labels: {path}: truncated" in capsys.readouterr().err
    lines = (bad / "train.km").read_text().splitlines()
    assert [index for index, line in enumerate(lines) if not line] == [3]

    path.write_bytes(whole)
    budget_labels("make", "--data", bad, *CLUSTERS)
    assert "without labels" not in capsys.readouterr().err
    assert all((bad / "train.km").read_text().splitlines())


def test_too_many_bad_files_stop_the_labels_and_are_listed(folder, capsys, monkeypatch):
    def explode(self, index, *window):
        raise AudioError(self.name(index), "unreadable: on purpose")

    budget_labels("fit", "--data", folder, *CLUSTERS)
    capsys.readouterr()
    monkeypatch.setattr(Corpus, "read", explode)
    error = error_of(capsys, "apply", "--data", folder, "--workers", 1)
    assert "cannot be read, more than --max-bad-share 0.01" in error
    assert "unreadable: on purpose" in error
    monkeypatch.undo()
    assert budget_labels("apply", "--data", folder, "--workers", 1) == 0
    assert all((folder / "train.km").read_text().splitlines())
