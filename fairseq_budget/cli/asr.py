"""budget-asr: transcripts for fine-tuning, decoding with word errors, averages of checkpoints."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from fairseq_budget.asr.averaging import average_checkpoints, average_running
from fairseq_budget.cli import user_errors
from fairseq_budget.cli._decode import add_decode
from fairseq_budget.corpus import write_column
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.symbols import letters, odd_characters, write_dictionary
from fairseq_budget.labels.transcripts import read_transcripts
from fairseq_budget.manifest import Manifest
from fairseq_budget.pretrained import save_pretrained


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="budget-asr", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(required=True)
    _add_prepare(
        commands.add_parser("prepare", help="write transcripts as symbols, and their dictionary")
    )
    add_decode(commands)
    average = commands.add_parser("average", help="the mean of several checkpoints' weights")
    average.add_argument("checkpoints", nargs="+", help="of one run, the newest last")
    average.add_argument(
        "--running", action="store_true",
        help="the mean of all updates between two checkpoints, or up to one (task.mean_interval)",
    )  # fmt: skip
    average.add_argument("--out", required=True, help="folder to write")
    average.set_defaults(run=_average)
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
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
        "--word-pieces", type=int, metavar="N",
        help="learn N word pieces (k2SSL: 500) and write {split}.bpe, not the letters {split}.ltr",
    )  # fmt: skip
    parser.set_defaults(run=_prepare)


def _prepare(args: argparse.Namespace) -> None:
    paths = [args.data / f"{split}.tsv" for split in args.splits]
    texts = [
        read_transcripts(args.transcripts.format(split=path.stem), Manifest.read(path))
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
    from fairseq_budget.labels import word_pieces  # asks for sentencepiece

    model = args.data / "bpe.model"
    word_pieces.train_word_pieces(texts[0], args.word_pieces, model)
    rows = [[" ".join(row) for row in word_pieces.pieces(model, split)] for split in texts]
    return rows, word_pieces.vocabulary(model)


def _average(args: argparse.Namespace) -> None:
    paths = args.checkpoints
    if args.running and len(paths) > 2:
        raise BudgetError(f"--running with {len(paths)} checkpoints: name the first and the last")
    average = average_running(*reversed(paths)) if args.running else average_checkpoints(paths)
    save_pretrained(args.out, average)
    print(f"{args.out}: the mean {'up to' if args.running else 'of'} {' '.join(paths)}")


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    args.run(args)
    return 0
