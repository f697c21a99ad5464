"""What makes runs alike: what their losses depend on, and what is one budget and one corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.run.provenance import SHOWN

SAME_BUDGET = 1.1  # FLOPs within this factor are one budget
CORPORA_APART = 1.1  # in hours or unique frames, above which runs have heard different ones

# what a loss depends on besides the data: it is another loss where one of these differs
_CONDITIONS: dict[str, tuple[str, ...]] = {
    "task": ("mask_prob", "mask_length", "equal_masks", "max_sample_size", "min_sample_size"),
    "criterion": ("pred_nomask_weight",),
    "model": (
        *("target", "normalize_target", "normalize", "head", "logit_temp"),
        *("num_negatives", "latent_vars", "latent_groups", "num_classes"),
        *("subsample", "subsample_rate", "upsample"),
    ),
    "lr_scheduler": ("_name",),
}

KINDS = {"encoder_type": "encoder", "frontend": "front-end"}
"""Fields of the encoder that runs of one kind share, and what they are called."""

Item = TypeVar("Item")


def conditions(cfg: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """What a loss depends on, in one line: settings of fairseq's config, and hashes of a split.

    cfg: sections task, criterion, model and lr_scheduler. hashes: of the validation split's
    manifest and columns, by name. Raises BudgetError for an encoder that cannot be.
    """
    found = {
        f"{section}.{name}": str(cfg[section][name]).replace(" ", "")
        for section, names in _CONDITIONS.items()
        for name in names
        if (cfg.get(section) or {}).get(name) is not None
    }
    encoder = EncoderConfig.from_dict(dict(cfg["model"])).resolved()
    found |= {f"model.{name}": getattr(encoder, name) for name in KINDS}
    found |= {f"valid.{name}": sha256[:SHOWN] for name, sha256 in hashes.items()}
    return " ".join(f"{name}={value}" for name, value in sorted(found.items()))


def chooses_segments(found: str) -> bool:
    """Whether runs of these `conditions` choose what their loss is over: then none compare."""
    return "model.subsample=cif" in found.split()


def first_split(cfg: Mapping[str, Any], kind: str) -> str:
    """The name of the split that is trained on ("train"), or of the first one for "valid"."""
    found = (cfg.get("dataset") or {}).get(f"{kind}_subset") or kind
    return str(found).partition(",")[0]


def near(
    items: Iterable[Item], value: Callable[[Item], float | None], apart: float
) -> list[list[Item]]:
    """Groups of items, from the least value: in each they lie within the factor `apart`.

    Those without a value are a group of their own, the first.

    >>> near([30, 10, 11, 12], float, 1.1)
    [[10, 11], [12], [30]]
    """
    groups: list[list[Item]] = []
    for item in sorted(items, key=lambda item: value(item) or 0):
        if not groups or (value(item) or 0) > apart * (value(groups[-1][0]) or 0):
            groups.append([])
        groups[-1].append(item)
    return groups
