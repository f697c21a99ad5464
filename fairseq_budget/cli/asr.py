"""budget-asr: transcripts for fine-tuning, decoding with word errors, averages of checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from fairseq_budget.asr.averaging import average_checkpoints
from fairseq_budget.asr.beam import LexiconBeamSearch
from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.asr.wer import word_errors
from fairseq_budget.cli import user_errors
from fairseq_budget.corpus import Corpus
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.labels.symbols import (
    letters,
    read_dictionary,
    write_dictionary,
    write_symbols,
)
from fairseq_budget.labels.transcripts import read_transcripts
from fairseq_budget.manifest import Manifest
from fairseq_budget.pretrained import read_pretrained, save_pretrained


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="budget-asr", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(required=True)
    _add_prepare(commands.add_parser("prepare", help="write {split}.ltr and dict.ltr.txt"))
    _add_decode(commands.add_parser("decode", help="recognise a split and count word errors"))
    average = commands.add_parser("average", help="the mean of several checkpoints' weights")
    average.add_argument("checkpoints", nargs="+", help="of one run, the newest last")
    average.add_argument("--out", required=True, help="folder to write")
    average.set_defaults(run=_average)
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of the manifests")
    parser.add_argument("--splits", nargs="+", default=["train", "valid"], help="training first")
    parser.add_argument(
        "--transcripts",
        required=True,
        help="table (path, transcript), LibriSpeech's folder, or a file per split: {split}.wrd",
    )
    parser.set_defaults(run=_prepare)


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="fine-tuned checkpoint or exported folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of manifests and labels")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--labels", default="ltr", help="transcripts and dictionary of training")
    parser.add_argument("--beam", type=int, help="hypotheses kept (greedy without)")
    parser.add_argument("--lexicon", type=Path, help="CTC: file with a word per line")
    parser.add_argument("--lm", type=Path, help="CTC: n-gram model (ARPA or KenLM), with --lexicon")
    parser.add_argument("--lm-weight", type=float, default=2.0)
    parser.add_argument("--word-score", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=8, help="utterances at once")
    parser.add_argument("--out", type=Path, help="write reference<TAB>hypothesis lines here")
    parser.set_defaults(run=_decode)


def _prepare(args: argparse.Namespace) -> None:
    for split in args.splits:
        manifest = Manifest.read(args.data / f"{split}.tsv")
        texts = read_transcripts(args.transcripts.format(split=split), manifest)
        rows = [letters(text) for text in texts]
        write_symbols(args.data, split, "ltr", rows)
        print(f"{args.data / split}.ltr: {len(rows):,} utterances")
        if split == args.splits[0]:
            symbols = write_dictionary(args.data, "ltr", rows)
            print(f"{args.data / 'dict.ltr.txt'}: {len(symbols)} symbols")


def _decode(args: argparse.Namespace) -> None:
    symbols = read_dictionary(args.data / f"dict.{args.labels}.txt")
    recognizer = Recognizer(read_pretrained(args.checkpoint), symbols)
    corpus = Corpus.open(args.data / f"{args.split}.tsv")
    manifest = Manifest.read(args.data / f"{args.split}.tsv")
    references = read_transcripts(args.data / f"{args.split}.{args.labels}", manifest)
    lexicon = _lexicon(args, symbols)
    order = sorted(range(len(corpus)), key=lambda index: -corpus.sizes[index])
    hypotheses = [""] * len(corpus)
    for start in tqdm(range(0, len(order), args.batch), disable=None, unit="batch"):
        batch = order[start : start + args.batch]
        waves = [torch.as_tensor(corpus.read(i, 0, int(corpus.sizes[i]))) for i in batch]
        source = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
        lengths = torch.tensor([len(wave) for wave in waves])
        texts = recognizer(source, lengths, beam=args.beam or 1, lexicon=lexicon)
        for index, text in zip(batch, texts, strict=True):
            hypotheses[index] = text
    found = word_errors(references, hypotheses)
    if args.out:
        with atomic_write(args.out) as file:
            lines = zip(references, hypotheses, strict=True)
            file.writelines(f"{reference}\t{text}\n" for reference, text in lines)
    print(
        f"{args.split}: word error rate {found.rate:.2%} ({found.substitutions} substitutions, "
        f"{found.deletions} deletions, {found.insertions} insertions in {found.num_words:,} words)"
    )


def _lexicon(args: argparse.Namespace, symbols: list[str]) -> LexiconBeamSearch | None:
    if args.lexicon is None:
        if args.lm is not None:
            raise BudgetError(f"--lm {args.lm} needs the words that it knows: add --lexicon FILE")
        return None
    if not args.lexicon.is_file():
        raise BudgetError(
            f"lexicon {args.lexicon} does not exist; name a file with a word per line"
        )
    words = args.lexicon.read_text(encoding="utf-8").split()
    weights = {"lm_weight": args.lm_weight, "word_score": args.word_score}
    return LexiconBeamSearch(symbols, words, args.lm, beam=args.beam or 50, **weights)


def _average(args: argparse.Namespace) -> None:
    save_pretrained(args.out, average_checkpoints(args.checkpoints))
    print(f"{args.out}: the mean of {len(args.checkpoints)} checkpoints")


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    args.run(args)
    return 0
