"""budget-asr: transcripts for fine-tuning, decoding with word errors, averages of checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from fairseq_budget.asr.averaging import average_checkpoints, average_running
from fairseq_budget.asr.beam import LexiconBeamSearch
from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.asr.wer import word_errors
from fairseq_budget.cli import user_errors
from fairseq_budget.corpus import Corpus, write_column
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.labels.symbols import letters, read_dictionary, write_dictionary
from fairseq_budget.labels.transcripts import read_transcripts
from fairseq_budget.manifest import Manifest
from fairseq_budget.measure import default_device
from fairseq_budget.pretrained import read_pretrained, save_pretrained


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="budget-asr", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(required=True)
    _add_prepare(
        commands.add_parser("prepare", help="write transcripts as symbols, and their dictionary")
    )
    _add_decode(commands.add_parser("decode", help="recognise a split and count word errors"))
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


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="fine-tuned checkpoint or exported folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of manifests and labels")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--labels", default="ltr", help="transcripts and dictionary of training")
    parser.add_argument("--beam", type=int, help="hypotheses kept (greedy without)")
    parser.add_argument("--lexicon", type=Path, help="CTC: file with a word per line")
    parser.add_argument(
        "--lm", type=Path,
        help="CTC: n-gram model of words (ARPA or KenLM's binary), with --lexicon; KenLM's lmplz "
        "estimates one from text, openslr.org/11 has LibriSpeech's: 4-gram.arpa.gz, and "
        "librispeech-vocab.txt for the lexicon",
    )  # fmt: skip
    parser.add_argument("--lm-weight", type=float, default=2.0, help="(default: %(default)s)")
    parser.add_argument("--word-score", type=float, default=0.0, help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="utterances at once")
    parser.add_argument("--device", default=default_device(), help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write reference<TAB>hypothesis lines here")
    parser.set_defaults(run=_decode)


def _prepare(args: argparse.Namespace) -> None:
    paths = [args.data / f"{split}.tsv" for split in args.splits]
    texts = [
        read_transcripts(args.transcripts.format(split=path.stem), Manifest.read(path))
        for path in paths
    ]
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


def _decode(args: argparse.Namespace) -> None:
    symbols = read_dictionary(args.data / f"dict.{args.labels}.txt")
    recognizer = Recognizer(read_pretrained(args.checkpoint), symbols, device=args.device)
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
