"""The script that joins takes of spoken digits to strings."""

import sys

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from tests.conftest import ROOT, run
from tests.synthetic import write_tone

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def test_strings_have_the_words_of_their_takes_and_splits_share_none(tmp_path):
    takes = []
    for digit in range(4):
        for take in (3, 7, 12, 30):
            for speaker in ("anna", "bert"):
                name = f"{digit}_{speaker}_{take}.wav"
                write_tone(tmp_path / "audio" / name, 1000 + take)
                takes.append(Utterance((Piece(name),), 1000 + take))
    Manifest(tmp_path / "audio", takes).write(tmp_path / "takes.tsv")
    script = [sys.executable, ROOT / "scripts/digit_strings.py"]
    run(*script, tmp_path / "takes.tsv", tmp_path / "out", "--passes", 2)
    for split, first, last in (("train", 10, 99), ("valid", 0, 9)):
        corpus = read_text(tmp_path / f"out/{split}.tsv", ["wrd"])
        assert len(corpus) > 1
        for index in range(len(corpus)):
            parts = [piece.path[:-4].split("_") for piece in corpus.utterance(index).pieces]
            assert corpus.columns["wrd"][index].split() == [WORDS[int(part[0])] for part in parts]
            assert 3 <= len(parts) <= 6
            assert len({speaker for _, speaker, _ in parts}) == 1
            assert all(first <= int(take) <= last for _, _, take in parts)
            assert len(corpus.read(index, 0, int(corpus.sizes[index]))) == corpus.sizes[index]
