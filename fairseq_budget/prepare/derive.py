"""One manifest from another, with all that lies beside it: columns, names, files of audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fairseq_budget.corpus.column import column_names, remove_stale_columns
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, hours
from fairseq_budget.prepare.archive_names import read_names, write_names
from fairseq_budget.prepare.cut import Cut, cut_manifest
from fairseq_budget.prepare.cut_columns import write_length_set
from fairseq_budget.prepare.length_sets import LengthSets, plan_length_sets
from fairseq_budget.prepare.speakers import SpeakerRule, find_named_speakers
from fairseq_budget.prepare.subset import choose_hours, write_subset
from fairseq_budget.prepare.summary import Summary
from fairseq_budget.prepare.write_audio import write_files


class Source(NamedTuple):
    """A manifest to cut, the names of audio in its archives, and its speakers."""

    path: Path
    manifest: Manifest
    names: dict[str, str]
    rule: SpeakerRule

    @classmethod
    def read(cls, path: Path, speaker: str | None) -> Source:
        manifest = Manifest.read(path)
        names = read_names(path, manifest)
        return cls(path, manifest, names, find_named_speakers(manifest, names, speaker))


@dataclass(frozen=True)
class Derived:
    """A manifest that was written, and what became of what lies beside it.

    `removed` are columns of an older manifest in its place; `not_carried` those of the source that
    do not fit it.
    """

    path: Path
    removed: list[Path]
    not_carried: list[str]
    summary: Summary


def cut_one(
    source: Source, path: Path, seconds: float, *, seed: int, audio: Path | None
) -> Derived:
    """Utterances of exactly one length."""
    _require_another(path, source.path)
    num_samples = round(seconds * SAMPLE_RATE)
    cut = cut_manifest(source.manifest, num_samples, rule=source.rule, seed=seed)
    cut.manifest.write(path)
    return _finish_cut(source, path, cut.manifest, audio, cut)


def cut_sets(
    source: Source, folder: Path, seconds: Sequence[float], *, seed: int, audio: Path | None
) -> dict[str, Derived]:
    """Sets of several lengths that hold the same audio, each in a folder of its own: ``5s``."""
    lengths = sorted(set(seconds))
    sets = plan_length_sets(source.manifest, lengths, rule=source.rule, seed=seed)
    found = {}
    for length in lengths:
        name = f"{length:g}s"
        path = folder / name / source.path.name
        _require_another(path, source.path)
        cut, columns = write_length_set(source.path, path, sets, length)
        found[name] = _finish_cut(source, path, cut, audio and audio / name, sets, columns)
    return found


def _finish_cut(
    source: Source,
    path: Path,
    manifest: Manifest,
    audio: Path | None,
    cut: Cut | LengthSets,
    columns: list[str] | None = None,
) -> Derived:
    write_names(path, manifest, source.names)
    removed = remove_stale_columns(path)
    if audio:
        write_files(path, audio, source.rule.speaker_of)
    not_carried = sorted(set(column_names(source.path)) - set(column_names(path)))
    summary = Summary.of(
        path,
        manifest,
        speaker_rule=source.rule.description,
        num_speakers=cut.num_speakers,
        columns=columns,
        left_out_hours=hours(cut.num_samples_left_out),
        files=str(audio) if audio else None,
    )
    return Derived(path, removed, not_carried, summary)


def subsets(
    manifest: Path, folder: Path, wanted: Sequence[float], *, seed: int, others: Sequence[Path]
) -> dict[str, Derived]:
    """Nested random subsets by hours, each in a folder of its own, ``10h``, beside whole others."""
    found = {}
    for each, indices in choose_hours(Manifest.read(manifest), wanted, seed=seed).items():
        path = folder / f"{each:g}h" / manifest.name
        _require_another(path, manifest)
        columns = write_subset(manifest, path, indices)
        removed = remove_stale_columns(path)
        for other in others:
            beside = path.with_name(other.name)
            write_subset(other, beside, range(len(Manifest.read(other).utterances)))
            removed += remove_stale_columns(beside)
        summary = Summary.of(path, Manifest.read(path), columns=columns)
        found[f"{each:g}h"] = Derived(path, removed, [], summary)
    return found


def _require_another(path: Path, source: Path) -> None:
    if path.absolute() == source.absolute():
        raise BudgetError(f"{path} would be overwritten; choose another --destdir")
