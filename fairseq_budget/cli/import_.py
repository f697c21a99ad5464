"""budget-import: a checkpoint of fairseq or k2SSL becomes a portable folder."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import user_errors
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import Pretrained, save_pretrained
from fairseq_budget.pretrained.fairseq_checkpoint import import_fairseq
from fairseq_budget.pretrained.k2ssl_checkpoint import import_k2ssl


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-import",
        description="Read a public checkpoint without executing anything in it, and write it as "
        "budget-export does: fairseq's HuBERT and wav2vec 2.0 (pre-trained or CTC), k2SSL's HuBERT "
        "with a Zipformer (pre-trained, or the encoder of a recogniser).",
    )
    parser.add_argument("checkpoint", help="for example hubert_base_ls960.pt, wav2vec_small.pt")
    parser.add_argument("folder", help="folder to write")
    parser.add_argument(
        "--source", choices=["fairseq", "k2ssl"], default="fairseq", help="(default: fairseq)"
    )
    parser.add_argument(
        "--normalize",
        action="store_true",
        help="k2ssl: trained on normalised waveforms (do-normalize), as its Large; its files do "
        "not tell",
    )
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    checkpoint = _read(args)
    checkpoint.build_encoder()  # the weights fit, or say why not, before anything is written
    save_pretrained(args.folder, checkpoint)
    config = checkpoint.encoder.resolved()
    print(
        f"{args.folder}: {checkpoint.model}, {config.encoder_type} of {config.encoder_layers} "
        f"{'layers' if config.zipformer is None else 'stacks'}, width {config.output_dim}"
    )
    return 0


def _read(args: argparse.Namespace) -> Pretrained:
    if args.source == "k2ssl":
        return import_k2ssl(args.checkpoint, normalize=args.normalize)
    if args.normalize:
        raise BudgetError("--normalize with --source fairseq: its files say so themselves")
    return import_fairseq(args.checkpoint)
