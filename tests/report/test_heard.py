"""What a run makes of an utterance, where its checkpoint and its data are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_budget.nn.heads import ReconstructionHead
from fairseq_budget.report.boundaries import Fired
from fairseq_budget.report.heard import hear
from fairseq_budget.report.reconstruction import Reconstruction
from fairseq_budget.report.trained import read_trained
from tests.own_models import random_checkpoint
from tests.report.test_curve import write_run
from tests.synthetic import write_tone_corpus


def write_heard_run(folder: Path, *seconds: float, model: str = "budget_tera", **fields) -> Path:
    """A run whose checkpoint has weights, and validates on tones of so many seconds each."""
    write_run(folder, width=4, loss=2.0)
    low, high = seconds or (9.0, 9.5)
    tones = write_tone_corpus(folder / "audio", 2, seconds=(low, high), extensions=("wav",))
    tones.write(folder / "data" / "valid.tsv")
    own = random_checkpoint(model, encoder_layers=1, **fields)
    head = ReconstructionHead(128, 78)
    state = {f"head.{name}": value for name, value in head.state_dict().items()}
    checkpoint = torch.load(folder / "checkpoint_last.pt")
    checkpoint["model"] = own.state | (state if model == "budget_tera" else {})
    dims = {"size": "tiny", "encoder_layers": 1, "target": "mfcc", "normalize_target": True}
    checkpoint["cfg"]["model"] = {"_name": model, **dims, **fields}
    checkpoint["cfg"]["task"] = {"data": str(folder / "data")}
    checkpoint["cfg"]["dataset"] = {"valid_subset": "valid"}
    torch.save(checkpoint, folder / "checkpoint_last.pt")
    return folder


def heard(folder: Path):
    return hear(*read_trained([folder]))


def test_tera_fills_in_at_most_8_seconds_of_the_validation_set(tmp_path):
    found = heard(write_heard_run(tmp_path / "run"))
    assert found.utterance == "speaker_0/utterance_000.wav"
    assert found.wave.shape == (8 * 16000,)
    assert isinstance(found.made, Reconstruction)
    assert found.made.mask.any()


def test_a_student_with_cif_says_where_its_segments_end(tmp_path):
    student = {"model": "budget_distilhubert", "subsample": "cif"}
    found = heard(write_heard_run(tmp_path / "run", 1.0, 1.5, **student))
    assert isinstance(found.made, Fired)
    assert len(found.made.alphas) == (len(found.wave) - 80) // 320
    assert (np.diff(found.made.ends_s) > 0).all()


@pytest.mark.parametrize("gone", ["data/valid.tsv", "audio", "checkpoint_last.pt"])
def test_what_is_gone_is_not_heard_and_no_error(gone, tmp_path):
    folder = write_heard_run(tmp_path / "run")
    assert heard(folder)
    (folder / gone).rename(tmp_path / "elsewhere")
    assert heard(folder) is None


def test_other_objectives_and_short_utterances_are_not_heard(tmp_path):
    assert heard(write_heard_run(tmp_path / "a", model="budget_hubert")) is None
    assert heard(write_heard_run(tmp_path / "b", 0.2, 0.9)) is None
    assert heard(write_run(tmp_path / "c", width=4, loss=2.0)) is None
