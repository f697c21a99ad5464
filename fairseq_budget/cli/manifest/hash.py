"""``budget-manifest hash``: find audio that was replaced by other audio."""

from __future__ import annotations

import argparse

from fairseq_budget.audio.bad_share import listed
from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_workers
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.manifest.arguments import add_splits
from fairseq_budget.errors import BudgetError

with imported_later():
    from fairseq_budget.prepare.audio_hashes import changed_audio, write_audio_hashes


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "hash",
        help="remember what each utterance sounds like, and find what has changed",
        description="Write DIR/{split}.audio, a hash of each utterance's samples; with --check "
        "read all audio again, name the utterances that sound otherwise, and end with 2.",
    )
    add_splits(parser)
    parser.add_argument("--check", action="store_true", help="compare with what was written before")
    add_workers(parser)
    parser.set_defaults(run=_hash)


def _hash(args: argparse.Namespace) -> int:
    for split in args.splits:
        manifest = args.data / f"{split}.tsv"
        if not args.check:
            print(write_audio_hashes(manifest, args.workers))
        elif changed := changed_audio(manifest, args.workers):
            raise BudgetError(
                f"{len(changed)} utterances of {manifest} sound otherwise than when they were "
                f"hashed: put their audio back, or make labels and hashes anew:{listed(changed)}"
            )
        else:
            print(f"{manifest}: all as it was")
    return 0
