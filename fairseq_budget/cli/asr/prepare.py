"""``budget-asr prepare``: transcripts as symbols, and their dictionary."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import count
from fairseq_budget.cli.later import imported_later

with imported_later():
    from fairseq_budget.corpus.column import write_column
    from fairseq_budget.corpus.manifest import Manifest
    from fairseq_budget.corpus.symbols import letters, odd_characters, write_dictionary
    from fairseq_budget.text.transcripts import read_transcripts


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "prepare", help="write transcripts as symbols, and their dictionary"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the manifests")
    parser.add_argument(
        "--splits", nargs="+", default=["train", "valid"],
        help="the first is learned from: dictionary and word pieces (train valid)",
    )  # fmt: skip
    parser.add_argument(
        "--transcripts",
        required=True,
        help="table (path, transcript), LibriSpeech's folder, or a file per split: {split}.wrd",
    )
    parser.add_argument(
        "--word-pieces", type=count, metavar="N",
        help="learn N word pieces (k2SSL: 500) and write {split}.bpe, not the letters {split}.ltr",
    )  # fmt: skip
    parser.set_defaults(run=_prepare)


def _prepare(args: argparse.Namespace) -> None:
    paths = [args.data / f"{split}.tsv" for split in args.splits]
    texts = [
        read_transcripts(args.transcripts.replace("{split}", path.stem), Manifest.read(path))
        for path in paths
    ]
    odd = odd_characters(texts[0], itertools.chain(*texts[1:]))
    for kind, characters in odd.items():
        print(
            f"budget-asr: warning: characters of the transcripts that {kind}: "
            f"{' '.join(characters)}; mend {args.transcripts} if they are slips",
            file=sys.stderr,
        )
    if args.word_pieces:
        name, rows, vocabulary = "bpe", *_learn_word_pieces(args, texts)
    else:
        name, rows, vocabulary = "ltr", [list(map(letters, split)) for split in texts], []
    for path, split in zip(paths, rows, strict=True):
        print(f"{write_column(path, name, split, rate=None)}: {len(split):,} utterances")
    symbols = write_dictionary(args.data, name, rows[0], vocabulary)
    print(f"{args.data / f'dict.{name}.txt'}: {len(symbols)} symbols")


def _learn_word_pieces(
    args: argparse.Namespace, texts: list[list[str]]
) -> tuple[list[list[str]], list[str]]:
    """Rows of pieces of each split, and all pieces, by a model learned from the first split."""
    from fairseq_budget.text import word_pieces  # asks for sentencepiece

    model = args.data / "bpe.model"
    word_pieces.train_word_pieces(texts[0], args.word_pieces, model)
    rows = [[" ".join(row) for row in word_pieces.pieces(model, split)] for split in texts]
    return rows, word_pieces.vocabulary(model)
