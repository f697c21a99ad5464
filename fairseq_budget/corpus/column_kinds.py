"""Kinds of the columns beside a manifest, and other files that go by their names.

A column's description tells: labels name the centroids that they were clustered by; segmentations
say what kind they are, and may name centroids, too; everything else is text (transcripts, names).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_budget.errors import BudgetError

CENTROIDS_KEY = "centroids"  # in a description: the hash of the centroids
KIND_KEY = "kind"  # in the description of a segmentation: what made it
LABELS = "km"  # the name of a label set, unless another is given
SEGMENTS = "seg"  # of a segmentation
_RESERVED = ("tsv", "pack", "json", "name", "wrd", "ltr", "phn", "bpe", "audio")


def is_segmentation(description: Mapping[str, Any]) -> bool:
    return KIND_KEY in description


def is_label_set(description: Mapping[str, Any]) -> bool:
    return CENTROIDS_KEY in description and not is_segmentation(description)


def check_name(name: str, *others: str) -> None:
    """Raise BudgetError for a `name` that is no file ending, or that of another file."""
    reserved = (*_RESERVED, *others)
    if name in reserved or not name.replace("_", "").isalnum():
        raise BudgetError(
            f"--name {name}: expected letters and digits, and none of {', '.join(reserved)}, "
            "which name other files beside the manifest; `km2` or `seg`, say"
        )


def dictionary_path(folder: Path, name: str) -> Path:
    """``dict.km.txt``, fairseq's list of symbols of a column of labels or transcripts."""
    return folder / f"dict.{name}.txt"


def info_path(folder: Path, name: str) -> Path:
    """``labels.json``, or ``labels_km2.json``: what the ids of a label set mean."""
    return folder / f"labels{_suffix(name)}.json"


def model_path(folder: Path, name: str) -> Path:
    """``kmeans.safetensors``, or ``kmeans_km2.safetensors``: the centroids of a label set."""
    return folder / f"kmeans{_suffix(name)}.safetensors"


def _suffix(name: str) -> str:
    return "" if name == LABELS else f"_{name}"
