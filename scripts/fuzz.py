"""Changed files, and what every reader of the project makes of them.

    python scripts/fuzz.py --minutes 10 --seed 0

Of each kind of file a sound one is written; then a seed changes its bytes, lines, fields and
structure again and again, and the project's own reader reads it, under a limit of time and memory.
It may refuse the file by the error that it promises, or read what may be read; anything else is a
finding, whose file is kept below --work. Ends with 1 if there was one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a bare checkout will do

from fuzzing.judge import FINE, Case, Verdict, judge_all  # noqa: E402
from fuzzing.readers import READERS  # noqa: E402

from fairseq_budget.console.table import column, table  # noqa: E402
from fairseq_budget.files import atomic_write  # noqa: E402

IN_TURN = 20  # cases of a reader before the next one's
NAMES = [reader.name for reader in READERS]


@dataclass(frozen=True)
class Row:
    """What came of a reader's files."""

    reader: str = column("file")
    num_files: int = column("changed")
    num_refused: int = column("refused by name")
    num_same: int = column("read as before")
    num_valid: int = column("read as it says now")
    num_findings: int = column("findings")


def main() -> int:
    """Change and read files for as long as was asked for, and print the table."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz.") as folder:
        verdicts = _fuzz(args, Path(folder))
    shown = table([_row(name, verdicts) for name in (args.readers or NAMES)])
    print(shown)
    if args.out:
        with atomic_write(args.out) as file:
            file.write(f"# Fuzz\n\n`python {' '.join(sys.argv)}`\n\n{shown}\n")
    return int(any(verdict.is_finding for verdict in verdicts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="in all (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of all changes (default: 0)")
    parser.add_argument("--readers", nargs="+", choices=NAMES, metavar="FILE", help="some only")
    parser.add_argument("--cases", type=int, default=1 << 30, help="files of each reader at most")
    parser.add_argument(
        "--work", type=Path, default=Path("results/fuzz"), help="folder of findings"
    )
    parser.add_argument("--out", type=Path, help="Markdown file of the table")
    return parser


def _fuzz(args: argparse.Namespace, folder: Path) -> list[Verdict]:
    cases = (
        Case(name, number)
        for start in range(0, args.cases, IN_TURN)
        for name in args.readers or NAMES
        for number in range(start, min(start + IN_TURN, args.cases))
    )
    verdicts, until = [], time.monotonic() + 60 * args.minutes
    for verdict in judge_all(cases, args.seed, folder, until=until):
        verdicts.append(verdict)
        if verdict.is_finding:
            _keep(verdict, args.seed, args.work)
    return verdicts


def _keep(verdict: Verdict, seed: int, work: Path) -> None:
    assert verdict.path is not None
    name = verdict.case.reader.replace("/", " ").replace(" ", "_")
    kept = work / f"{name}.{seed}.{verdict.case.number}{verdict.path.suffix}"
    work.mkdir(parents=True, exist_ok=True)
    shutil.copy(verdict.path, kept)
    print(f"{kept}: {verdict.kind} ({verdict.change}): {verdict.detail}", flush=True)


def _row(reader: str, verdicts: list[Verdict]) -> Row:
    kinds = Counter(verdict.kind for verdict in verdicts if verdict.case.reader == reader)
    total = sum(kinds.values())
    refused, same, valid = (kinds[kind] for kind in FINE)
    return Row(reader, total, refused, same, valid, total - refused - same - valid)


if __name__ == "__main__":
    sys.exit(main())
