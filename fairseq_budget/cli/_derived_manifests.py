"""``budget-manifest cut`` and ``budget-manifest subset``: one manifest from another."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_budget.audio.crop import ONE_SPEAKER, SpeakerRule, cut_manifest
from fairseq_budget.audio.length_sets import plan_length_sets
from fairseq_budget.cli._packs import build_pack_parser, run_pack
from fairseq_budget.corpus import column_path
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.length_files import write_files, write_length_set
from fairseq_budget.manifest import Manifest
from fairseq_budget.names import find_named_speakers, read_names, write_names
from fairseq_budget.subset import choose_hours, column_names, remove_stale_columns, write_subset

Summary = dict[str, dict[str, Any]]


class Derived(NamedTuple):
    """A subcommand of budget-manifest."""

    build_parser: Callable[[], argparse.ArgumentParser]
    run: Callable[[Sequence[str]], int]


def build_cut_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-manifest cut",
        description="Join each speaker's utterances in a random order and cut them into "
        "utterances of exactly S seconds. Only the manifest is written; audio is not touched. "
        "Columns beside it (labels) that belong to another manifest are removed: make them anew. "
        "Several S, as in --seconds 1 5 10 15, make DESTDIR/{S}s/ for each: the same audio in "
        "every one, in utterances within half a second of S, with the labels that belong to it.",
    )
    _add_files(parser)
    parser.add_argument("--seconds", metavar="S", type=_duration, nargs="+", required=True)
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
    return parser


def build_subset_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budget-manifest subset",
        description="Write DESTDIR/{hours}h/, a folder to train on, for each number of hours: "
        "random utterances of the manifest with the lines of its columns (labels). Each subset "
        "contains the smaller ones.",
    )
    _add_files(parser)
    parser.add_argument("--hours", metavar="H", type=_hours, nargs="+", required=True)
    parser.add_argument(
        "--with",
        dest="others",
        metavar="SPLIT",
        nargs="*",
        help="splits beside the manifest that go along whole (default: valid, if there is one)",
    )
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", metavar="TSV", type=Path, required=True)
    parser.add_argument("--destdir", metavar="DIR", type=Path, required=True, help="output folder")
    parser.add_argument("--seed", type=int, default=1, help="of the random order (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the summary as json")


def _cut(argv: Sequence[str]) -> int:
    args = build_cut_parser().parse_args(argv)
    manifest = Manifest.read(args.manifest)
    names = read_names(args.manifest, manifest)
    source = _Source(manifest, names, find_named_speakers(manifest, names, args.speaker))
    if source.rule.description == ONE_SPEAKER:
        print(
            "budget-manifest: warning: all files lie in one folder, so that one speaker is taken "
            "for all, and utterances of several may be joined; --speaker REGEX tells them apart, "
            r"for example '([^_/]+)_[^/]*$' for ann_1.wav",
            file=sys.stderr,
        )
    cut = _cut_one if len(args.seconds) == 1 else _cut_sets
    print_summary(cut(args, source), as_json=args.json)
    return 0


class _Source(NamedTuple):
    """What is cut, the names of what is in archives, and who speaks."""

    manifest: Manifest
    names: dict[str, str]
    rule: SpeakerRule


def _cut_one(args: argparse.Namespace, source: _Source) -> Summary:
    """Utterances of exactly one length, in DESTDIR itself."""
    path = args.destdir / args.manifest.name
    _require_another(path, args.manifest)
    num_samples = round(args.seconds[0] * SAMPLE_RATE)
    cut = cut_manifest(source.manifest, num_samples, rule=source.rule, seed=args.seed)
    cut.manifest.write(path)
    row = _finish_cut(args, path, cut.manifest, source=source, audio=args.write_audio)
    row |= {"num_speakers": cut.num_speakers, "left_out_hours": _hours_of(cut.num_samples_left_out)}
    return {args.manifest.stem: row}


def _cut_sets(args: argparse.Namespace, source: _Source) -> Summary:
    """Sets of several lengths that hold the same audio, each in a folder of its own."""
    seconds = sorted(set(args.seconds))
    sets = plan_length_sets(source.manifest, seconds, rule=source.rule, seed=args.seed)
    summary = {}
    for length in seconds:
        name = f"{length:g}s"
        path = args.destdir / name / args.manifest.name
        _require_another(path, args.manifest)
        cut, columns = write_length_set(args.manifest, path, sets, length)
        audio = args.write_audio and args.write_audio / name
        row = _finish_cut(args, path, cut, source=source, audio=audio)
        row |= {"num_speakers": sets.num_speakers, "columns": columns}
        summary[name] = row | {"left_out_hours": _hours_of(sets.num_samples_left_out)}
    return summary


def _finish_cut(
    args: argparse.Namespace, path: Path, cut: Manifest, *, source: _Source, audio: Path | None
) -> dict[str, Any]:
    """Say what became of columns, write files where they are wanted; a row of the summary."""
    write_names(path, cut, source.names)
    _report_removed(path)
    _report_missing(args.manifest, path)
    if audio:
        write_files(path, audio, source.rule.speaker_of)
    row = {"manifest": str(path), **cut.summary(), "speaker_rule": source.rule.description}
    return row | {"files": str(audio)} if audio else row


def _hours_of(num_samples: int) -> float:
    return num_samples / SAMPLE_RATE / 3600


def _report_removed(path: Path) -> None:
    """Remove the columns that an older manifest in this place has left."""
    for column in remove_stale_columns(path):
        print(f"removed {column}: it was made for another manifest", file=sys.stderr)


def _report_missing(source: Path, path: Path) -> None:
    for name in set(column_names(source)) - set(column_names(path)):
        print(
            f"{column_path(source, name)} does not fit the cut utterances: make the column anew "
            f"for {path} (labels: budget-labels)",
            file=sys.stderr,
        )


def _subset(argv: Sequence[str]) -> int:
    args = build_subset_parser().parse_args(argv)
    manifest = Manifest.read(args.manifest)
    summary: Summary = {}
    for hours, indices in choose_hours(manifest, args.hours, seed=args.seed).items():
        folder = args.destdir / f"{hours:g}h"
        path = folder / args.manifest.name
        _require_another(path, args.manifest)
        columns = write_subset(args.manifest, path, indices)
        _report_removed(path)
        for other in _other_manifests(args):
            whole = range(len(Manifest.read(other).utterances))
            write_subset(other, folder / other.name, whole)
            _report_removed(folder / other.name)
        row = {"manifest": str(path), **Manifest.read(path).summary(), "columns": columns}
        summary[f"{hours:g}h"] = row
    print_summary(summary, as_json=args.json)
    return 0


def _other_manifests(args: argparse.Namespace) -> list[Path]:
    """The manifests that go along whole, that of the subset itself left out."""
    folder = args.manifest.parent
    names = args.others
    if names is None:
        names = ["valid"] if (folder / "valid.tsv").is_file() else []
    paths = [folder / f"{name}.tsv" for name in names]
    return [path for path in paths if path.name != args.manifest.name]


DERIVED = {
    "cut": Derived(build_cut_parser, _cut),
    "subset": Derived(build_subset_parser, _subset),
    "pack": Derived(build_pack_parser, run_pack),
}


def _require_another(path: Path, source: Path) -> None:
    if path.absolute() == source.absolute():
        raise BudgetError(f"{path} would be overwritten; choose another --destdir")


def _duration(text: str) -> float:
    """An argparse type: seconds that make at least one sample."""
    if not 1 / SAMPLE_RATE <= float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no duration of at least one sample")
    return float(text)


def _hours(text: str) -> float:
    """An argparse type: hours above zero."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number of hours")
    return float(text)


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """One line for each manifest that was written, and what it leaves out; or all of it as json."""
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    for split, row in summary.items():
        columns = f" and {', '.join(row['columns'])} beside it" if row.get("columns") else ""
        print(
            f"{split}: {row['num_utterances']} utterances, {row['hours']:.2f} hours, "
            f"{row['shortest_s']:.2f} to {row['longest_s']:.2f} s, in {row['manifest']}{columns}"
        )
        for kind, count in row.get("rejected", {}).items():
            print(f"  left out: {count} {kind}")
        if "files" in row:
            print(f"  as files in {row['files']}")
        if "speaker_rule" in row:
            print(
                f"  {row['num_speakers']} speakers by {row['speaker_rule']}; left out: "
                f"{row['left_out_hours']:.3g} hours of remainders"
            )
