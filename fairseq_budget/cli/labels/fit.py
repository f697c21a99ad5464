"""``budget-labels fit``: k-means, fitted on a sample of frames."""

from __future__ import annotations

import argparse
import json

from fairseq_budget.cli import Commands
from fairseq_budget.cli.labels.arguments import (
    add_feature_arguments,
    add_fit_arguments,
    add_label_set,
    feature_of,
    fit_of,
)
from fairseq_budget.cli.later import imported_later
from fairseq_budget.corpus.column_kinds import model_path

with imported_later():
    from fairseq_budget.labels.kmeans import KMeans
    from fairseq_budget.labels.make import fit_labels
    from fairseq_budget.labels.parts import Workers


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("fit", help="fit k-means on a sample of frames")
    add_label_set(parser)
    add_fit_arguments(parser)
    add_feature_arguments(parser)
    parser.set_defaults(run=_fit)


def _fit(args: argparse.Namespace) -> int:
    feature = feature_of(args)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        model = fit_labels(fit_of(args, feature), workers)
    _print_model(args, model)
    return 0


def _print_model(args: argparse.Namespace, model: KMeans) -> None:
    outcome = {
        "model": str(model_path(args.data, args.name)),
        "centroids_sha256": model.sha256,
        **model.description,
    }
    if args.json:
        print(json.dumps(outcome, indent=2))
        return
    print(
        f"{outcome['model']}: {model.description['num_clusters']} clusters of "
        f"{model.description['feature']['kind']}, fitted on "
        f"{model.description['num_frames_fitted']:,} frames, inertia "
        f"{model.description['inertia']:.2f}; next: budget-labels apply --data {args.data}"
    )
