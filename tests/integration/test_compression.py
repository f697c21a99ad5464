"""A student with its own boundaries, from labels to a scored figure, by the users' commands."""

import json

import pytest

from fairseq_budget.pretrained import load_pretrained
from tests.conftest import run, train_command

pytestmark = [pytest.mark.fairseq, pytest.mark.slow]


@pytest.fixture(scope="module")
def segmented(data, tmp_path_factory):
    """The shared manifests with segments of smoothed MFCC codes beside them."""
    folder = tmp_path_factory.mktemp("segmented")
    for split in ("train", "valid"):
        (folder / f"{split}.tsv").write_bytes((data / f"{split}.tsv").read_bytes())
    run("budget-labels", "fit", "--data", folder, "--clusters", 20, "--workers", 1)
    run("budget-labels", "segment", "--data", folder, "--target-rate", 12, "--workers", 1)
    return folder


@pytest.fixture(scope="module")
def student(segmented, exported, tmp_path_factory):
    """(folder of the checkpoints of a CIF student after 10 updates, what it printed)."""
    folder = tmp_path_factory.mktemp("student")
    done = run(*train_command(
        segmented, folder, f"model.teacher={exported}", "model.encoder_layers=1",
        "model.subsample=cif", "model.subsample_rate=4", "task.segments=seg",
        "criterion.cardinality_weight=0", "criterion.segment_weight=0.005",
        "criterion.frame_weight=0.25", "optimization.max_update=10",
        "lr_scheduler.warmup_updates=2",
        preset="budget_distilhubert_demo",
    ))  # fmt: skip
    return folder, done.stdout + done.stderr


def test_what_guides_the_boundaries_is_logged(student):
    log = student[1]
    for name in ("segment_guidance", "frame_guidance", "segment_rate", "l1_1", "cosine_3"):
        assert f"{name}=" in log
    assert "cardinality=" not in log


def test_the_checkpoint_holds_the_student_alone(student):
    encoder = load_pretrained(student[0] / "checkpoint_last.pt")
    assert len(encoder.encoder.layers) == 1
    assert encoder.subsampler.kind == "cif"


def test_boundaries_are_scored_and_drawn(student, segmented, demo_folder, tmp_path):
    words = ["--checkpoint", student[0] / "checkpoint_last.pt", "--data", segmented]
    words += ["--phones", demo_folder / "phones.tsv", "--out", tmp_path]
    printed = run("budget-report", "boundaries", *words).stdout
    assert "R-value" in printed
    assert (tmp_path / "boundaries.png").stat().st_size > 10_000


def test_segments_of_another_manifest_stop_the_training(segmented, exported, tmp_path):
    for path in segmented.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    description = json.loads((tmp_path / "train.seg.json").read_text())
    description["manifest"] = "0" * 64
    (tmp_path / "train.seg.json").write_text(json.dumps(description))
    done = run(*train_command(
        tmp_path, tmp_path / "out", f"model.teacher={exported}", "task.segments=seg",
        "model.subsample=segments", preset="budget_distilhubert_demo",
    ), check=False)  # fmt: skip
    assert done.returncode != 0
    assert "was made for another manifest" in done.stdout + done.stderr
