"""budget-import: a checkpoint of another toolkit becomes a portable folder."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import user_errors
from fairseq_budget.cli.arguments import count
from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.pretrained import Pretrained, save_pretrained
    from fairseq_budget.pretrained.distiller_checkpoint import import_distiller
    from fairseq_budget.pretrained.fairseq_checkpoint import import_fairseq
    from fairseq_budget.pretrained.k2ssl_checkpoint import import_k2ssl
    from fairseq_budget.pretrained.torchaudio_checkpoint import import_torchaudio
    from fairseq_budget.pretrained.transformers_folder import import_transformers


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-import",
        description="Read a public checkpoint without executing anything in it, and write it as "
        "budget-export does: HuBERT and wav2vec 2.0 (pre-trained, or the encoder of a fine-tuned "
        "model) of fairseq, transformers (its CTC models with their letters) and torchaudio, "
        "s3prl's DistilHuBERT, k2SSL's HuBERT with a Zipformer.",
    )
    parser.add_argument(
        "checkpoint",
        help="for example hubert_base_ls960.pt, wav2vec_small.pt; of transformers the folder",
    )
    parser.add_argument("folder", help="folder to write")
    parser.add_argument(
        "--source",
        choices=["fairseq", "transformers", "torchaudio", "s3prl", "k2ssl"],
        default="fairseq",
        help="(default: fairseq)",
    )
    parser.add_argument(
        "--normalize",
        action="store_true",
        help="k2ssl, torchaudio: trained on normalised waveforms (do-normalize), as their Large; "
        "their files do not tell",
    )
    parser.add_argument(
        "--encoder-only",
        action="store_true",
        help="transformers: of a CTC model the encoder, without its head and letters; of others "
        "no more is read anyway",
    )
    parser.add_argument(
        "--heads", type=count, help="torchaudio: attention heads (encoder_num_heads); 12 in Base"
    )
    parser.add_argument(
        "--norm-first",
        action=argparse.BooleanOptionalAction,
        help="torchaudio: encoder_layer_norm_first, which Base has not and HuBERT Large has",
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
    _check_options(args)
    if args.source == "k2ssl":
        return import_k2ssl(args.checkpoint, normalize=args.normalize)
    if args.source == "torchaudio":
        return import_torchaudio(
            args.checkpoint,
            num_heads=args.heads,
            norm_first=args.norm_first,
            normalize=args.normalize,
        )
    if args.source == "transformers":
        return import_transformers(args.checkpoint, encoder_only=args.encoder_only)
    if args.source == "s3prl":
        return import_distiller(args.checkpoint)
    return import_fairseq(args.checkpoint)


def _check_options(args: argparse.Namespace) -> None:
    """What the files themselves say is not to be given, what they do not say must be."""
    if args.normalize and args.source not in ("k2ssl", "torchaudio"):
        raise BudgetError(f"--normalize with --source {args.source}: its files say so themselves")
    if args.encoder_only and args.source != "transformers":
        raise BudgetError(
            f"--encoder-only with --source {args.source}: of its fine-tuned models nothing else is "
            "read; leave it out"
        )
    given = [args.heads is not None, args.norm_first is not None]
    if args.source == "torchaudio" and not all(given):
        raise BudgetError(
            "--source torchaudio: its files hold weights only; say --heads N and --norm-first or "
            "--no-norm-first, as the function that built the model has them (wav2vec2_base and "
            "hubert_base: --heads 12 --no-norm-first)"
        )
    if args.source != "torchaudio" and any(given):
        raise BudgetError(
            f"--heads and --norm-first with --source {args.source}: its files say so themselves"
        )
