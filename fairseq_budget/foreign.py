"""Files of other toolkits: reading them without executing anything, and saying what they are.

``weights_only`` stays on, and every class that a file names is read as an inert stand-in.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from fairseq_budget.errors import BudgetError

_NUM_LEGACY_PICKLES = 4  # torch < 1.6: magic number, protocol, system, the object itself
_ORIGINAL = "name the original checkpoint of fairseq instead (hubert_base_ls960.pt and its like)"
_UNREAD = "only HuBERT and wav2vec 2.0 of fairseq, and k2SSL's HuBERT, are computed here: take one"
_KINDS = {  # pattern of a name in the file -> what it is, and the cure
    r"model budget_.*": "a checkpoint of this package: budget-export takes it",
    r"Distiller": "s3prl's DistilHuBERT: name its teacher, HuBERT, or train a budget_distilhubert",
    r"model_weight": f"s3prl's conversion of a checkpoint: {_ORIGINAL}",
    r"(.*\.)?(feature_projection\..*|masked_spec_embed)": f"a model of transformers: {_ORIGINAL}",
    r".*\.(relative_attention_bias\.|grep_).*": "WavLM, whose attention has gated relative "
    f"positions: {_UNREAD}",
    r"model data2vec.*|_ema|(.*\.)?modality_encoders\..*": f"data2vec: {_UNREAD}",
    r"(encoder\.)?encoder\.encoders\..*": "k2SSL's Zipformer: budget-import --source k2ssl",
}


def refuse_other_kinds(names: Iterable[str]) -> None:
    """BudgetError, with what the file is and the cure, if entries or weights give it away.

    The name of its model counts as one: ``"model data2vec_audio"``.
    """
    names = list(names)
    for pattern, kind in _KINDS.items():
        if any(re.fullmatch(pattern, name) for name in names):
            raise BudgetError(f"this is {kind}")


class _Inert:
    """Stands in for every class in a foreign file: keeps its state, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._constructed_with = args

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


def load_inert(path: Path) -> dict[str, Any]:
    """What a foreign checkpoint holds, on the CPU; objects of any class in it are stand-ins.

    Raises BudgetError when it is missing, no file of torch's (of any age), or no mapping.
    """
    if path.is_dir() or path.suffix == ".safetensors":
        raise BudgetError(
            f"{path} is no file of fairseq's; if it is a model of transformers, {_ORIGINAL}"
        )
    if not path.is_file():
        raise BudgetError(f"checkpoint {path} does not exist")
    try:
        allowed: list[Any] = [
            (type(name.rpartition(".")[2], (_Inert,), {}), name) for name in _class_names(path)
        ]
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise BudgetError(
            f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}): expected a "
            "whole file that torch.save wrote; fetch it again"
        ) from error
    if not isinstance(checkpoint, dict):
        raise BudgetError(f"{path} holds a {type(checkpoint).__name__}, no checkpoint")
    return checkpoint


def _class_names(path: Path) -> Iterable[str]:
    """What the file names beyond tensors and plain containers; its pickles are only looked at."""
    if zipfile.is_zipfile(path):
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with path.open("rb") as file:  # torch's format before 1.6, which published checkpoints have
        return {
            argument.replace(" ", ".")
            for _ in range(_NUM_LEGACY_PICKLES)
            for opcode, argument, _ in pickletools.genops(file)
            if opcode.name == "GLOBAL"
        }


def plain(value: Any) -> Any:
    """Containers and values out of stand-ins: argparse's, omegaconf's, members of enums."""
    if isinstance(value, _Inert):
        fields = dict(vars(value))
        given = fields.pop("_constructed_with", ())
        if given and not fields:
            return plain(given[0])
        return plain(fields.get("_content", fields.get("_val", fields)))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
