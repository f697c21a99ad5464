"""``budget-corpus``: a synthetic speech corpus to try everything with."""

from __future__ import annotations

import argparse
from collections import Counter

from fairseq_budget.cli import user_errors
from fairseq_budget.cli.later import imported_later
from fairseq_budget.demo.script import MAX_COMMANDS
from fairseq_budget.frames import SAMPLE_RATE

with imported_later():
    from fairseq_budget.demo.corpus import make_demo_corpus


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-corpus",
        description="Make a small corpus of synthetic speech: 16 kHz wavs in train, valid and "
        "test, transcripts, spoken commands and phone times. Equal arguments give equal bytes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="folder to make; reused if it is finished")
    parser.add_argument("--speakers", type=int, default=8, metavar="N", help="number of speakers")
    parser.add_argument(
        "--sentences", type=int, default=480, metavar="N", help="sentences, each read once"
    )
    parser.add_argument(
        "--commands",
        type=int,
        default=48,
        metavar="N",
        help=f"commands, at most {MAX_COMMANDS}, each given by every speaker",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another one, other data")
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    utterances = make_demo_corpus(
        args.folder,
        num_speakers=args.speakers,
        num_sentences=args.sentences,
        num_commands=args.commands,
        seed=args.seed,
    )
    minutes = sum(utterance.num_samples for utterance in utterances) / SAMPLE_RATE / 60
    splits = Counter(utterance.split for utterance in utterances)
    shown = ", ".join(f"{split} {count}" for split, count in splits.items())
    print(f"{args.folder}: {minutes:.1f} min, {len(utterances)} utterances ({shown})")
    return 0
