"""Strings of spoken digits with transcripts, joined from takes of single digits.

    python scripts/digit_strings.py MANIFEST OUT

MANIFEST lists `{digit}_{speaker}_{take}.wav` of the Free Spoken Digit Dataset at 16 kHz. OUT gets
train.tsv, of takes 10 and up, valid.tsv, of takes 0 to 9, and the words of both, train.wrd and
valid.wrd. A string has 3 to 6 digits of one speaker; no audio is copied.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.manifest import Manifest, Utterance

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FIRST_TRAINING_TAKE = 10
SHORTEST, LONGEST = 3, 6  # digits in a string


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--passes", type=int, default=3, help="strings that a training take is in")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    manifest = Manifest.read(args.manifest)
    rng = np.random.default_rng(args.seed)
    for split, passes in (("train", args.passes), ("valid", 1)):
        takes = [take for take in manifest.utterances if split_of(take) == split]
        strings = [string for _ in range(passes) for string in draw_strings(takes, rng)]
        path = args.out / f"{split}.tsv"
        Manifest(manifest.root, [join(string) for string in strings]).write(path)
        write_column(path, "wrd", [" ".join(map(word_of, string)) for string in strings], None)
        print(f"{path}: {len(strings)} strings of {sum(map(len, strings))} digits")


def draw_strings(takes: Sequence[Utterance], rng: np.random.Generator) -> Iterator[list[Utterance]]:
    """Every take once, but for a few that are left over."""
    by_speaker = defaultdict(list)
    for take in takes:
        by_speaker[name_of(take)[1]].append(take)
    for own in by_speaker.values():
        left = [own[index] for index in rng.permutation(len(own))]
        while len(left) >= LONGEST:
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            string, left = left[:length], left[length:]
            yield string


def join(takes: Sequence[Utterance]) -> Utterance:
    pieces = tuple(piece for take in takes for piece in take.segments)
    return Utterance(pieces, sum(take.num_samples for take in takes))


def name_of(take: Utterance) -> list[str]:
    """Digit, speaker and take."""
    return Path(take.pieces[0].path).stem.split("_")


def word_of(take: Utterance) -> str:
    return WORDS[int(name_of(take)[0])]


def split_of(take: Utterance) -> str:
    return "train" if int(name_of(take)[2]) >= FIRST_TRAINING_TAKE else "valid"


if __name__ == "__main__":
    main()
