"""budget-import: a fairseq HuBERT or wav2vec 2.0 checkpoint becomes a portable folder."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import user_errors
from fairseq_budget.interop import import_fairseq
from fairseq_budget.pretrained import save_pretrained


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-import",
        description="Read a public fairseq checkpoint (HuBERT, wav2vec 2.0; pre-trained or CTC) "
        "without executing anything in it, and write it as budget-export does.",
    )
    parser.add_argument("checkpoint", help="for example hubert_base_ls960.pt, wav2vec_small.pt")
    parser.add_argument("folder", help="folder to write")
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    checkpoint = import_fairseq(args.checkpoint)
    checkpoint.build_encoder()  # the weights fit, or say why not, before anything is written
    save_pretrained(args.folder, checkpoint)
    config = checkpoint.encoder
    print(
        f"{args.folder}: {checkpoint.model}, {config.encoder_layers} layers of width "
        f"{config.encoder_embed_dim}"
    )
    return 0
