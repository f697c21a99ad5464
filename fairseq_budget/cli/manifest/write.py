"""``budget-manifest`` without a subcommand: folders of audio become manifests."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fairseq_budget.cli.arguments import add_workers, not_negative, positive
from fairseq_budget.cli.later import imported_later
from fairseq_budget.cli.manifest.arguments import alone_in, print_summary, require_writable
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.prepare.find import EXTENSIONS, find_audio, passed_over

with imported_later():
    from fairseq_budget.corpus.manifest import Manifest
    from fairseq_budget.prepare.archive_names import write_names
    from fairseq_budget.prepare.collect import Finding, Rules, choose_share, collect
    from fairseq_budget.prepare.summary import Summary

_NUM_SHOWN = 20  # rejected files that are printed for each reason; all of them go to a file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_splits(parser)
    _add_files(parser)
    add_workers(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as json")
    parser.set_defaults(run=_write)


def _add_splits(parser: argparse.ArgumentParser) -> None:
    splits = parser.add_argument_group("splits")
    for split in ("train", "valid", "test"):
        splits.add_argument(
            f"--{split}pref",
            metavar="DIR",
            type=Path,
            help=f"{split} audio: a folder, or an uncompressed .zip or .tar",
        )
    splits.add_argument(
        "--valid-percent",
        metavar="P",
        type=not_negative,
        default=0.0,
        help="take P percent (0-100) of the train utterances, at least one, for valid",
    )
    splits.add_argument("--seed", type=int, default=1, help="chooses them (default: 1)")
    splits.add_argument("--destdir", metavar="DIR", type=Path, help="output folder")


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group("which files")
    files.add_argument(
        "--ext",
        default=",".join(EXTENSIONS),
        help="extensions to look for (default: %(default)s); zip and tar look into archives of DIR",
    )
    files.add_argument("--match", metavar="REGEX", help="keep files whose relative path matches")
    files.add_argument("--min-seconds", metavar="S", type=not_negative, default=0.0)
    files.add_argument("--max-seconds", metavar="S", type=not_negative, default=float("inf"))
    files.add_argument(
        "--check",
        choices=("header", "full"),
        default="header",
        help="full decodes every file, to find lost or invalid samples (default: header)",
    )
    files.add_argument(
        "--bad",
        choices=("skip", "error"),
        default="skip",
        help="what to do about files that cannot be trained on (default: name and skip them)",
    )
    files.add_argument(
        "--resample-to",
        metavar="DIR",
        type=Path,
        help="write all kept files there as 16 kHz mono 16-bit wav, and make it the root; "
        "copies that are newer than their source are kept",
    )
    files.add_argument(
        "--divide-by",
        metavar="X",
        type=positive,
        default=1.0,
        help="for --resample-to: files whose samples are far beyond 1 are divided by it; 32768 for "
        "16-bit numbers that are stored as floats",
    )


def _write(args: argparse.Namespace) -> int:
    places = _places(args)
    if args.resample_to:
        require_writable(args.resample_to)
    with alone_in(args.destdir):
        return _write_from(args, places)


def _write_from(args: argparse.Namespace, places: dict[str, Path]) -> int:
    extensions = args.ext.split(",")
    files = {split: find_audio(place, extensions, args.match) for split, place in places.items()}
    for split, place in places.items():
        if (others := passed_over(place, extensions)) and not args.match:
            print(f"{split}: {others}", file=sys.stderr)
    copies = args.resample_to and args.resample_to.absolute()
    full = args.check == "full"
    rules = Rules(args.min_seconds, args.max_seconds, full, copies, _divisor(args))
    findings = collect(files, rules, num_workers=args.workers)
    for split in findings:
        _report_rejected(split, findings[split])
    _require_good(findings, args.bad)
    manifests = {
        split: _manifest(copies or root, findings[split]) for split, (root, _) in files.items()
    }
    if args.valid_percent:
        manifests.update(_split_off_valid(manifests["train"], args.valid_percent, args.seed))

    names = {own.path: own.name for found in findings.values() for own in found}
    summary = {}
    for split, manifest in manifests.items():
        rejected = [finding for finding in findings.get(split, []) if finding.reason]
        path = args.destdir / f"{split}.tsv"
        _write_rejected(path.with_suffix(".rejected.tsv"), rejected)
        manifest.write(path)
        write_names(path, manifest, names)
        kinds = dict(Counter(finding.kind for finding in rejected))
        summary[split] = Summary.of(path, manifest, rejected=kinds)
    print_summary(summary, as_json=args.json)
    return 0


def _places(args: argparse.Namespace) -> dict[str, Path]:
    """The place of each split's audio; raises BudgetError for flags that do not fit."""
    prefixes = {"train": args.trainpref, "valid": args.validpref, "test": args.testpref}
    places = {split: place.absolute() for split, place in prefixes.items() if place}
    if args.destdir is None:
        raise BudgetError("no folder to write to: give --destdir")
    if not places:
        raise BudgetError("no audio was named; give --trainpref, --validpref or --testpref")
    if not 0 <= args.valid_percent < 100:
        raise BudgetError(f"--valid-percent {args.valid_percent:g} is not within 0 and 100")
    if 0 < args.valid_percent < 1:
        print(
            f"budget-manifest: warning: --valid-percent {args.valid_percent:g} is less than one "
            f"percent; --valid-percent {100 * args.valid_percent:g} is what fairseq's fraction "
            f"{args.valid_percent:g} means",
            file=sys.stderr,
        )
    if args.valid_percent and ("valid" in places or "train" not in places):
        raise BudgetError("--valid-percent takes from --trainpref and excludes --validpref")
    return places


def _divisor(args: argparse.Namespace) -> float:
    if not 1 <= args.divide_by < float("inf"):
        raise BudgetError(f"--divide-by {args.divide_by:g}: expected a number of 1 or more")
    if args.divide_by > 1 and args.resample_to is None:
        raise BudgetError("--divide-by changes copies; say where with --resample-to DIR")
    return float(args.divide_by)


def _manifest(root: Path, findings: Sequence[Finding]) -> Manifest:
    return Manifest(root, [finding.utterance for finding in findings if not finding.reason])


def _split_off_valid(train: Manifest, percent: float, seed: int) -> dict[str, Manifest]:
    if len(train.utterances) < 2:
        raise BudgetError("one utterance cannot be split into train and valid; give more audio")
    chosen = choose_share([utt.name for utt in train.utterances], percent, seed)
    return {
        "train": Manifest(train.root, [utt for utt in train.utterances if utt.name not in chosen]),
        "valid": Manifest(train.root, [utt for utt in train.utterances if utt.name in chosen]),
    }


def _require_good(findings: dict[str, list[Finding]], bad: str) -> None:
    for split, found in findings.items():
        num_bad = sum(finding.is_bad for finding in found)
        if num_bad and bad == "error":
            raise BudgetError(
                f"{num_bad} of {len(found)} {split} files are bad, as listed above; mend or remove "
                "them, or leave them out with --bad skip"
            )
        if all(finding.reason for finding in found):
            raise BudgetError(
                f"none of the {len(found)} {split} files can be used, for the reasons listed above"
            )


def _report_rejected(split: str, findings: Sequence[Finding]) -> None:
    shown: Counter[str | None] = Counter()
    for finding in findings:
        if finding.reason:
            shown[finding.kind] += 1
            if shown[finding.kind] <= _NUM_SHOWN:
                print(f"{split}: left out {finding.name}: {finding.reason}", file=sys.stderr)
    for kind, num in shown.items():
        if num > _NUM_SHOWN:
            print(f"{split}: and {num - _NUM_SHOWN} more that are {kind}", file=sys.stderr)
    if shown.keys() & {"wrong sample rate", "not mono"}:
        print(f"{split}: --resample-to DIR makes 16 kHz mono copies of these", file=sys.stderr)


def _write_rejected(path: Path, rejected: Sequence[Finding]) -> None:
    if not rejected:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        file.writelines(f"{finding.name}\t{finding.reason}\n" for finding in rejected)
