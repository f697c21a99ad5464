"""``budget-labels make``: fit, apply and check, all in one."""

from __future__ import annotations

import argparse

from fairseq_budget.cli import Commands
from fairseq_budget.cli.labels.arguments import (
    add_apply_arguments,
    add_feature_arguments,
    add_fit_arguments,
    add_label_set,
    add_splits,
    alignments_of,
    feature_of,
    fit_of,
    splits_of,
)
from fairseq_budget.cli.labels.outcome import print_outcome
from fairseq_budget.cli.later import imported_later

with imported_later():
    from fairseq_budget.labels.labelling import Apply, refuse_mixed_centroids
    from fairseq_budget.labels.make import make_labels
    from fairseq_budget.labels.parts import Workers


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("make", help="fit, apply and check, all in one")
    add_label_set(parser)
    add_fit_arguments(parser)
    add_feature_arguments(parser)
    add_splits(parser)
    add_apply_arguments(parser)
    parser.set_defaults(run=_make)


def _make(args: argparse.Namespace) -> int:
    feature, splits = feature_of(args), splits_of(args)
    alignments = alignments_of(args)
    fit = fit_of(args, feature)
    model = fit.fitted()
    refuse_mixed_centroids(args.data, splits, model.sha256 if model else None, args.name)
    with Workers(args.workers, feature.parts_per_worker) as workers:
        apply = Apply(args.data, feature, splits, 1, 0, args.name, args.max_bad_share)
        seconds = make_labels(fit, apply, workers, args.dump_features)
    return print_outcome(args, splits, alignments, seconds=seconds)
