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
    r"Distiller": "s3prl's DistilHuBERT: budget-import --source s3prl reads it",
    r"model_weight": f"s3prl's conversion of a checkpoint: {ORIGINAL}",
    r".*\.(relative_attention_bias\.|grep_|rel_attn_embed|gru_rel_pos).*|model wavlm.*": "WavLM or "
    f"a model like it, with gated relative positions in its attention: {_UNREAD}",
    r"(.*\.)?encoder\.transformer\..+": "a model of torchaudio: budget-import --source torchaudio "
    "reads it",
    r"model data2vec(?!_audio$).*|(.*\.)?modality_encoders\..+": "data2vec, whose positions are "
    f"several convolutions: {_UNREAD}",
    r"model_type|transformers_version|(.*\.)?(feature_projection\..+|masked_spec_embed)": "a model "
    "of transformers: budget-import --source transformers reads its folder",
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
