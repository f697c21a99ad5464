"""Arguments and output that subcommands of ``budget-manifest`` share."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from fairseq_budget.cli.arguments import whole
from fairseq_budget.cli.later import imported_later
from fairseq_budget.errors import BudgetError
from fairseq_budget.run.lock import hold

with imported_later():
    from fairseq_budget.corpus.column import column_path
    from fairseq_budget.prepare.derive import Derived
    from fairseq_budget.prepare.summary import Summary


def add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    parser.add_argument("--destdir", metavar="DIR", type=Path, required=True, help="output folder")
    parser.add_argument("--seed", type=whole, default=1, help="of the random order (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the summary as json")


def add_splits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="of the manifests")
    parser.add_argument("--splits", metavar="SPLIT", nargs="+", default=["train", "valid"])


def print_derived(args: argparse.Namespace, found: Mapping[str, Derived]) -> None:
    """Print what became of the columns, on stderr, and the summary of what was written."""
    for derived in found.values():
        for column in derived.removed:
            print(f"removed {column}: it was made for another manifest", file=sys.stderr)
        for name in derived.not_carried:
            print(
                f"{column_path(args.manifest, name)} does not fit the cut utterances: make the "
                f"column anew for {derived.path} (labels: budget-labels)",
                file=sys.stderr,
            )
    print_summary({name: each.summary for name, each in found.items()}, as_json=args.json)


def print_summary(written: Mapping[str, Summary], *, as_json: bool) -> None:
    """One line for each manifest that was written, and what it leaves out; or all of it as json."""
    if as_json:
        print(json.dumps({name: each.json() for name, each in written.items()}, indent=2))
        return
    for name, each in written.items():
        columns = f" and {', '.join(each.columns)} beside it" if each.columns else ""
        print(
            f"{name}: {each.num_utterances} utterances, {each.hours:.2f} hours, "
            f"{each.shortest_s:.2f} to {each.longest_s:.2f} s, in {each.manifest}{columns}"
        )
        for kind, count in (each.rejected or {}).items():
            print(f"  left out: {count} {kind}")
        if each.files:
            print(f"  as files in {each.files}")
        if each.speaker_rule:
            print(
                f"  {each.num_speakers} speakers by {each.speaker_rule}; left out: "
                f"{each.left_out_hours:.3g} hours of remainders"
            )


def alone_in(destdir: Path) -> AbstractContextManager[None]:
    """Keep others from writing manifests there; it is made, and a file may be written into it."""
    require_writable(destdir)
    return hold(destdir / ".budget_manifest.lock", f"--destdir {destdir}", "another --destdir")


def require_writable(folder: Path) -> None:
    """Fail before the work rather than after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BudgetError(
            f"cannot write to {folder}: {error.strerror}; choose a folder that you may write to"
        ) from error
