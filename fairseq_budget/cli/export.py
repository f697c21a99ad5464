"""budget-export: a fairseq checkpoint of ours becomes a portable folder, or another tool's."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairseq_budget.cli import user_errors
from fairseq_budget.cli.arguments import seed
from fairseq_budget.cli.later import imported_later

with imported_later():
    from fairseq_budget.pretrained import read_pretrained, save_pretrained, untrained
    from fairseq_budget.pretrained.fairseq_export import save_fairseq
    from fairseq_budget.pretrained.graph import save_torch
    from fairseq_budget.pretrained.k2ssl_checkpoint import export_k2ssl
    from fairseq_budget.pretrained.onnx_file import save_onnx
    from fairseq_budget.pretrained.portable import write_provenance
    from fairseq_budget.pretrained.transformers_folder import save_transformers
    from fairseq_budget.report.card import write_card
    from fairseq_budget.report.scored import read_scored
    from fairseq_budget.run.provenance import summary

PORTABLE = "portable"
FORMATS = {
    PORTABLE: save_pretrained,
    "transformers": save_transformers,
    "fairseq": save_fairseq,
    "onnx": save_onnx,
    "torch": save_torch,
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-export",
        description="Write FOLDER/model.safetensors and FOLDER/config.json from a fairseq "
        "checkpoint, and FOLDER/README.md, a model card. Loading them needs neither fairseq nor "
        "pickle. Into the same folder again, a card keeps what people have filled in: the lines "
        "above its title, and all from `## Licence` on; any other README.md stays as it is.",
    )
    parser.add_argument(
        "checkpoint", help="checkpoint_best.pt or another checkpoint of ours, or an exported folder"
    )
    parser.add_argument("folder", help="folder to write")
    parser.add_argument(
        "--to",
        choices=FORMATS,
        default=PORTABLE,
        help="transformers: for AutoModel and AutoFeatureExtractor, of a CTC recogniser also "
        "AutoModelForCTC and AutoProcessor; fairseq: FOLDER/model.pt, which stock fairseq loads as "
        "HuBERT or wav2vec 2.0; onnx: FOLDER/model.onnx for onnxruntime; torch: FOLDER/model.pt2 "
        "for torch.export.load (default: portable, which this package reads)",
    )
    parser.add_argument(
        "--untrained",
        metavar="SEED",
        type=seed,
        help="export the same architecture with fresh weights instead, to compare with",
    )
    parser.add_argument(
        "--scores", type=Path, nargs="+", default=[], metavar="JSON",
        help="superb.json and results.json of `budget-downstream`, for the card",
    )  # fmt: skip
    parser.add_argument(
        "--k2ssl",
        metavar="FILE",
        help="also write a checkpoint for k2SSL's recipes (HuBERT, Zipformer, model.head=linear)",
    )
    return parser


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    checkpoint = read_pretrained(args.checkpoint)
    if args.untrained is not None:
        checkpoint = untrained(checkpoint, args.untrained)
    if args.k2ssl is not None:
        export_k2ssl(args.k2ssl, checkpoint)
    scores = [score for path in args.scores for score in read_scored(path)]
    FORMATS[args.to](args.folder, checkpoint)
    if args.to != PORTABLE:
        write_provenance(args.folder, checkpoint)
    has_card = write_card(args.folder, checkpoint, args.to, scores)
    updates = checkpoint.provenance.get("num_updates", 0)
    print(f"{args.folder}: {checkpoint.model}, size {checkpoint.encoder.size}, {updates} updates")
    for name, words in summary(checkpoint.provenance).items():
        print(f"  {name}: {words}")
    if not has_card:
        print("  README.md stays as it was: it is no model card, for it has no `## Licence`")
    return 0
