"""``budget-manifest cut``: utterances of one fixed length, or the same audio in several lengths."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import seconds
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.manifest.arguments import add_files, alone_in, print_derived
from fairseq_budget.prepare.speakers import ONE_SPEAKER

with imported_later():
    from fairseq_budget.prepare.derive import Source, cut_one, cut_sets


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "cut",
        help="join and cut utterances to one fixed duration",
        description="Join each speaker's utterances in a random order and cut them into "
        "utterances of exactly S seconds. Only the manifest is written; audio is not touched. "
        "Columns beside it (labels) that belong to another manifest are removed: make them anew. "
        "Several S, as in --seconds 1 5 10 15, make DESTDIR/{S}s/ for each: the same audio in "
        "every one, in utterances within half a second of S, with the labels that belong to it.",
    )
    add_files(parser)
    parser.add_argument("--seconds", metavar="S", type=seconds, nargs="+", required=True)
    parser.add_argument(
        "--speaker",
        metavar="REGEX",
        help="its first group, in the relative path, is the speaker (default: LibriSpeech names, "
        "else the parent folder)",
    )
    parser.add_argument(
        "--write-audio",
        metavar="DIR",
        type=Path,
        help="make flac files, too, for other tools, with manifests and labels of their own; the "
        "same command goes on where it was stopped",
    )
    parser.set_defaults(run=_cut)


def _cut(args: argparse.Namespace) -> None:
    source = Source.read(args.manifest, args.speaker)
    if source.rule.description == ONE_SPEAKER:
        print(
            "budget-manifest: warning: all files lie in one folder, so that one speaker is taken "
            "for all, and utterances of several may be joined; --speaker REGEX tells them apart, "
            r"for example '([^_/]+)_[^/]*$' for ann_1.wav",
            file=sys.stderr,
        )
    options = {"seed": args.seed, "audio": args.write_audio}
    with alone_in(args.destdir):
        if len(args.seconds) == 1:
            path = args.destdir / args.manifest.name
            found = {args.manifest.stem: cut_one(source, path, args.seconds[0], **options)}
        else:
            found = cut_sets(source, args.destdir, args.seconds, **options)
    print_derived(args, found)
