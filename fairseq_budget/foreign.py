"""Files of other toolkits: reading them without executing anything, and saying what they are.

``weights_only`` stays on, and every class that a file names is read as an inert stand-in.
"""

from __future__ import annotations

import argparse
import json
import pickle
import pickletools
import re
import struct
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # Python 2's names, which torch writes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from fairseq_budget.errors import BudgetError

_NUM_LEGACY_PICKLES = 4  # torch < 1.6: magic number, protocol, system, the object itself
_ORIGINAL = "take the original checkpoint of fairseq (hubert_base_ls960.pt and its like) instead"
_UNREAD = "it is not computed here; take HuBERT or wav2vec 2.0 of fairseq, or k2SSL's HuBERT"
_KINDS = {  # pattern of a name in the file -> what it is, and the cure
    r"format_version|model budget_\w+": "a model of this package: name it without budget-import",
    r"Distiller": "s3prl's DistilHuBERT, which is not read here: take its teacher, fairseq's "
    "HuBERT, or train a budget_distilhubert",
    r"model_weight": f"s3prl's conversion of a checkpoint: {_ORIGINAL}",
    r"(.*\.)?encoder\.transformer\..+": f"a model of torchaudio: {_ORIGINAL}",
    r"model_type|transformers_version|(.*\.)?(feature_projection\..+|masked_spec_embed)": "a model "
    f"of transformers: {_ORIGINAL}",
    r"model data2vec\w*|_ema|(.*\.)?modality_encoders\..+": f"data2vec: {_UNREAD}",
    r".*\.(relative_attention_bias\.|grep_).+": "WavLM or a model like it, with gated relative "
    f"positions in its attention: {_UNREAD}",
    r"(.*\.)?encoder\.encoders\..+": "a Zipformer of k2SSL: budget-import --source k2ssl reads it",
}


def other_kind(names: Iterable[str]) -> str | None:
    """What a file is, and the cure, if a name in it gives away that it is nothing to import.

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
            return list(json.loads((path / "config.json").read_text()))
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (OSError, ValueError, SafetensorError):
        return []


def load_inert(path: Path) -> dict[str, Any]:
    """What a checkpoint of any toolkit holds; objects of classes in it are stand-ins.

    Tensors are on the CPU, and read when they are used. Raises BudgetError when it is missing, no
    file of torch's (of any age), or no mapping; with what it is instead, where that can be told.
    """
    if path.is_dir() or path.suffix == ".safetensors":
        kind = other_kind(names_in(path))
        raise BudgetError(f"{path} is {kind or f'no file that torch.save wrote: {_ORIGINAL}'}")
    if not path.is_file():
        raise BudgetError(f"checkpoint {path} does not exist")
    try:
        is_zip = zipfile.is_zipfile(path)
        allowed: list[Any] = [
            (type(name.rpartition(".")[2], (_Inert,), {}), name)
            for name in _class_names(path, is_zip)
        ]
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (
        *(OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, struct.error),
        *(KeyError, TypeError, IndexError, AttributeError, AssertionError),
    ) as error:
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0]
        raise BudgetError(
            f"{path} cannot be read as a checkpoint ({reason.partition('. ')[0]}): expected a "
            "whole file that torch.save wrote, of weights and settings; fetch it again"
        ) from error
    if not isinstance(checkpoint, dict):
        raise BudgetError(f"{path} holds a {type(checkpoint).__name__}, no checkpoint")
    return checkpoint


def plain(value: Any) -> Any:
    """Containers and values out of stand-ins: argparse's, omegaconf's, members of enums."""
    if isinstance(value, _Inert):
        return plain(value.content())
    if isinstance(value, argparse.Namespace):  # itself where the process has allowed it
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


class _Inert:
    """Stands in for every class in a foreign file: keeps what it was made of, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = args

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})

    def content(self) -> Any:
        """omegaconf's content or value, else the fields, else (an enum's) the first argument."""
        fields = dict(vars(self))
        args = fields.pop("_args", ())
        for name in ("_content", "_val"):
            if name in fields:
                return fields[name]
        return args[0] if args and not fields else fields


def _class_names(path: Path, is_zip: bool) -> Iterable[str]:
    """What the file names beyond tensors and plain containers; its pickles are only looked at."""
    if is_zip:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with path.open("rb") as file:  # torch's format before 1.6, which published checkpoints have
        named = [
            str(argument).split(" ")
            for _ in range(_NUM_LEGACY_PICKLES)
            for opcode, argument, _ in pickletools.genops(file)
            if opcode.name == "GLOBAL"
        ]
    today = (NAME_MAPPING.get((m, n), (IMPORT_MAPPING.get(m, m), n)) for m, n in named)
    return {".".join(name) for name in today}
