"""Batches for fine-tuning: whole padded utterances, their symbols, joined lines, bad audio."""

import pytest
import torch

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq

ROWS = ["a b |", "b |", "a a z |"]


@pytest.fixture
def dataset(tmp_path):
    from fairseq.data import Dictionary

    from fairseq_budget.data.transcribed import TranscribedDataset

    takes = write_tone_corpus(tmp_path / "audio", 3, extensions=("wav",)).utterances
    pieces = (Piece(takes[0].name, 0, 5000), Piece(takes[1].name, 1000, 4000))
    joined = Utterance(pieces, 9000)
    Manifest(tmp_path / "audio", [takes[0], joined, takes[2]]).write(tmp_path / "train.tsv")
    dictionary = Dictionary()
    for symbol in "ab|":
        dictionary.add_symbol(symbol)
    corpus = read_text(tmp_path / "train.tsv")
    return TranscribedDataset(corpus, ROWS, dictionary, seed=1)


def test_a_batch_holds_whole_utterances_and_their_symbols(dataset):
    batch = dataset.collater([dataset[i] for i in (2, 1)])
    wave = batch["net_input"]["source"].view(torch.float32)
    sizes = dataset.corpus.sizes
    assert batch["net_input"]["num_samples"].tolist() == [sizes[2], 9000]
    assert torch.equal(wave[1, :9000], torch.from_numpy(dataset.corpus.read(1, 0, 9000)))
    assert not wave[1, 9000:].any()
    assert batch["target"].tolist() == [[4, 4, 3, 6], [5, 6, 1, 1]]  # z: <unk>; 1: padding
    assert batch["target_lengths"].tolist() == [4, 2]
    assert batch["ntokens"] == 6


def test_no_utterance_takes_the_place_of_one_that_cannot_be_read(dataset):
    (dataset.corpus.root / dataset.corpus.utterance(2).name).write_bytes(b"no audio")
    with pytest.raises(BudgetError, match="unreadable"):
        dataset[2]


def test_an_empty_batch_stays_empty(dataset):
    assert dataset.collater([]) == {}
