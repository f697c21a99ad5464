"""Transcripts of a manifest in several units, for ``feasibility`` and ``units``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fairseq_budget.asr.feasibility import Labels
from fairseq_budget.cli.arguments import count
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.rows import add_json

with imported_later():
    from fairseq_budget.corpus.manifest import Manifest
    from fairseq_budget.text.transcripts import read_phones, read_transcripts
    from fairseq_budget.text.units import characters, word_pieces


def add_transcripts(parser: argparse.ArgumentParser, word_pieces: str) -> None:
    parser.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    parser.add_argument(
        "--transcripts", metavar="PATH", type=Path, required=True,
        help="one line per utterance (.wrd, .ltr, ...), the demo corpus's utterances.tsv, or a "
        "folder with LibriSpeech's *.trans.txt",
    )  # fmt: skip
    parser.add_argument(
        "--phones", metavar="PATH", type=Path,
        help="one line of phones per utterance, or a table of phones in time (phones.tsv); "
        "silences do not count",
    )  # fmt: skip
    parser.add_argument(
        "--word-pieces", metavar="N", type=count, nargs="*",
        help=f"sizes of vocabularies, {word_pieces}",
    )  # fmt: skip
    add_json(parser)


def read_units(args: argparse.Namespace) -> tuple[list[int], dict[str, list[Labels]]]:
    """The utterances' lengths in samples, and their labels in each unit that was asked for.

    Vocabularies that the text is too small for are named and left out.
    """
    manifest = Manifest.read(args.manifest)
    units: dict[str, Any] = {}
    if args.phones:
        units["phones"] = read_phones(args.phones, manifest)
    texts = read_transcripts(args.transcripts, manifest)
    units["characters"] = characters(texts)
    if args.word_pieces:
        units |= _learn_word_pieces(texts, args.word_pieces)
    return [utterance.num_samples for utterance in manifest.utterances], units


def _learn_word_pieces(texts: list[str], sizes: list[int]) -> dict[str, list[list[int]]]:
    from fairseq_budget.text.word_pieces import VocabularyError  # asks for sentencepiece

    units = {}
    for size in sizes:
        try:
            units[f"{size} word pieces"] = word_pieces(texts, size)
        except VocabularyError as error:
            print(f"left out: {error}", file=sys.stderr)
    return units
