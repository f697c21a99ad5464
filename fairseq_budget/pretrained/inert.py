"""Reading a pickle of any toolkit without running anything in it.

``weights_only`` stays on, and every class that a file names is read as an inert stand-in.
"""

from __future__ import annotations

import argparse
import mmap
import pickle
import pickletools
import struct
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained.foreign import ORIGINAL, names_in, other_kind
from fairseq_budget.run.recovery import refuse_graph

_NUM_LEGACY_PICKLES = 4  # torch < 1.6: magic number, protocol, system, the object itself


def load_inert(path: Path) -> dict[str, Any]:
    """Read a checkpoint of any toolkit; objects of classes in it are stand-ins.

    Tensors are on the CPU, and read when they are used. Raises BudgetError when it is missing, no
    file of torch's (of any age), or no mapping; with what it is instead, where that can be told.
    """
    if path.is_dir() or path.suffix == ".safetensors":
        kind = other_kind(names_in(path))
        raise BudgetError(f"{path} is {kind or f'no file that torch.save wrote: {ORIGINAL}'}")
    if not path.is_file():
        raise BudgetError(f"checkpoint {path} does not exist")
    refuse_graph(path)
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
        *(KeyError, TypeError, IndexError, AttributeError, AssertionError, MemoryError),
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

    def __init__(self, *args: Any, **_: Any) -> None:
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
    """Classes that the file names beyond tensors and plain containers; nothing is unpickled."""
    if is_zip:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    # Torch's format before 1.6, which published checkpoints have. Mapped: a file that promises
    # gigabytes would be given room for them.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        named = [
            str(argument).split(" ")
            for _ in range(_NUM_LEGACY_PICKLES)
            for opcode, argument, _ in pickletools.genops(content)  # type: ignore[arg-type]  # it reads lines
            if opcode.name == "GLOBAL"
        ]
    today = (NAME_MAPPING.get((m, n), (IMPORT_MAPPING.get(m, m), n)) for m, n in named)
    return {".".join(name) for name in today}
