"""Odd recordings go from a folder to batches and text; a bad one is named wherever it is met."""

from __future__ import annotations

import pytest

from fairseq_budget.asr.clips import open_clips
from fairseq_budget.cli.labels.command import main as budget_labels
from fairseq_budget.cli.manifest.command import main as budget_manifest
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.data.audio_dataset import BudgetAudioDataset
from fairseq_budget.errors import BudgetError
from tests.audio.odd import BAD, WHOLE

pytestmark = pytest.mark.fairseq
EXTENSIONS = "wav,flac,ogg,mp3,aiff,au,caf"


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for number, make in enumerate([*WHOLE.values(), *(make for _, make in BAD.values())]):
        (folder / f"{number:02}").mkdir()
        make(folder / f"{number:02}")
    return folder


@pytest.mark.parametrize("options", [[], ["--check", "full"], ["--resample-to", "copies"]])
def test_odd_recordings_are_learned_from_and_bad_ones_are_left_out(
    audio, tmp_path, monkeypatch, options, capsys
):
    monkeypatch.chdir(tmp_path)
    places = ["--trainpref", str(audio), "--destdir", "data", "--ext", EXTENSIONS, "--workers", "1"]
    assert budget_manifest([*places, *options]) == 0
    rejected = (tmp_path / "data/train.rejected.tsv").read_text().splitlines()
    kinds = [line.split("\t")[1].partition(":")[0] for line in rejected]
    assert kinds == [kind for kind, _ in BAD.values()]
    assert budget_labels(["make", "--data", "data", "--clusters", "4", "--workers", "1"]) == 0
    assert "without labels" not in capsys.readouterr().err
    assert budget_manifest(["pack", "--data", "data", "--splits", "train"]) == 0

    corpus = open_corpus(tmp_path / "data", "train")
    assert len(corpus) == len(WHOLE)
    labels = open_labels(tmp_path / "data", "train", corpus=corpus)
    data = BudgetAudioDataset(corpus, seed=1, max_sample_size=None, labels=[labels], pad_audio=True)
    batch = data.collater([data[index] for index in range(len(corpus))])
    assert batch["bad_audio"] == []
    assert batch["num_samples"].tolist() == corpus.sizes.tolist()


def test_odd_recordings_are_heard_and_bad_ones_are_named(audio):
    paths = {path.parent.name: path for path in audio.glob("*/*")}
    for number, kind in enumerate(WHOLE):
        clips = open_clips(paths[f"{number:02}"])
        assert len(clips.read(0)) == clips.manifest.utterances[0].num_samples, kind
    for number, (kind, _) in enumerate(BAD.values(), start=len(WHOLE)):
        with pytest.raises(BudgetError, match=rf"{kind}|is no folder"):  # a FIFO
            open_clips(paths[f"{number:02}"])
