"""Kinds of other toolkits' files, told by the names in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fairseq_budget.structured import read_json

ORIGINAL = "take the original checkpoint of fairseq (hubert_base_ls960.pt and its like) instead"
_UNREAD = "it is not computed here; take HuBERT or wav2vec 2.0 of fairseq, or k2SSL's HuBERT"
_KINDS = {  # pattern of a name in the file -> what it is, and the cure
    r"format_version|model budget_\w+": "a model of this package: name it without budget-import",
    r"Distiller": "s3prl's DistilHuBERT, which is not read here: take its teacher, fairseq's "
    "HuBERT, or train a budget_distilhubert",
    r"model_weight": f"s3prl's conversion of a checkpoint: {ORIGINAL}",
    r"(.*\.)?encoder\.transformer\..+": f"a model of torchaudio: {ORIGINAL}",
    r"model_type|transformers_version|(.*\.)?(feature_projection\..+|masked_spec_embed)": "a model "
    f"of transformers: {ORIGINAL}",
    r"model data2vec\w*|_ema|(.*\.)?modality_encoders\..+": f"data2vec: {_UNREAD}",
    r".*\.(relative_attention_bias\.|grep_).+": "WavLM or a model like it, with gated relative "
    f"positions in its attention: {_UNREAD}",
    r"(.*\.)?encoder\.encoders\..+": "a Zipformer of k2SSL: budget-import --source k2ssl reads it",
}


def other_kind(names: Iterable[str]) -> str | None:
    """The kind of a file, and the cure, if a name in it gives away that it cannot be imported.

    ``names`` are of its entries and weights, and ``"model NAME"``, the one of its model.
    """
    names = [str(name) for name in names]
    kinds = (
        kind
        for pattern, kind in _KINDS.items()
        if any(re.fullmatch(pattern, name) for name in names)
    )
    return next(kinds, None)


def names_in(path: Path) -> list[str]:
    """Entries of a folder's config.json, or weights in a safetensors file; none if unreadable."""
    try:
        if path.is_dir():
            return list(read_json(path / "config.json", dict))
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (OSError, ValueError, SafetensorError):
        return []
