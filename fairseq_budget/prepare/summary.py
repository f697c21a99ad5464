"""What is said of a manifest that was written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.frames import SAMPLE_RATE, hours


@dataclass(frozen=True)
class Summary:
    """Its utterances in hours and seconds, and how they were made; None: not in this way.

    `columns` lie beside it, `files` is the folder of its audio where that was written; `rejected`
    counts files by the kind of their fault.
    """

    manifest: str
    num_utterances: int
    hours: float
    shortest_s: float
    longest_s: float
    speaker_rule: str | None = None
    num_speakers: int | None = None
    columns: list[str] | None = None
    left_out_hours: float | None = None
    files: str | None = None
    rejected: dict[str, int] | None = None

    @classmethod
    def of(cls, path: Path, manifest: Manifest, **made: Any) -> Summary:
        sizes = [utterance.num_samples for utterance in manifest.utterances]
        shortest_s, longest_s = min(sizes) / SAMPLE_RATE, max(sizes) / SAMPLE_RATE
        return cls(str(path), len(sizes), hours(sum(sizes)), shortest_s, longest_s, **made)

    def json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}
