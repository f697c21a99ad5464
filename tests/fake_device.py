"""A device that is not there: its tensors are computed on the CPU, and what waits for it is listed.

torch's meta device stands for it, with values. A wait is what stops a GPU's host until the device
has done all that it was asked for: a value that is read, a shape that follows from values, a copy
to the host, and a copy from memory that is not pinned, as of Python's numbers.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

PACKAGE = str(Path(__file__).parents[1] / "fairseq_budget")
DEVICE = torch.device("meta")
aten = torch.ops.aten

READS = (
    aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.nonzero, aten.masked_select,
    aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave,
)  # fmt: skip
INDEXES = (aten.index, aten._unsafe_index, aten.index_put, aten.index_put_)
TO_NUMBERS = (Tensor.tolist, Tensor.numpy)
FROM_NUMBERS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)


class OnDevice(Tensor):
    """``held`` is on the CPU and has the values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            held.stride(),
            held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=held.requires_grad,
        )
        made.held = held.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        raise AssertionError(f"{func} outside of `waits`")


class _Device(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        to = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        is_here = any(isinstance(x, OnDevice) for x in tree_leaves((args, kwargs)))
        if not is_here and to != DEVICE:
            return func(*args, **kwargs)
        if _is_wait(func.overloadpacket, args, kwargs, to):
            self.found.append(f"{func} in {_caller()}")
        held_args, held_kwargs = tree_map_only(OnDevice, lambda x: x.held, (args, kwargs))
        if to is not None:
            held_kwargs["device"] = torch.device("cpu")
        out = func(*held_args, **held_kwargs)
        if to not in (None, DEVICE):
            return out
        out = tree_map_only(Tensor, OnDevice, out)
        return return_and_correct_aliasing(func, args, kwargs, out) if is_here else out


def _is_wait(func: Any, args: Any, kwargs: Any, to: torch.device | None) -> bool:
    if func in READS:
        return True
    if func in INDEXES:
        return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
    if func is aten._to_copy:
        moves = to is not None and isinstance(args[0], OnDevice) != (to == DEVICE)
        return moves and not kwargs.get("non_blocking")
    if func is aten.copy_:
        return isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice)
    return False


class _Numbers(TorchFunctionMode):
    """Python's numbers are copied to the device and back, which torch refuses or spares itself."""

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in TO_NUMBERS:
            return func(args[0].to("cpu"), *args[1:], **kwargs)
        if func not in FROM_NUMBERS:
            return func(*args, **kwargs)
        if func is Tensor.new_tensor:
            like, *args = args
            kwargs = {"device": like.device, "dtype": like.dtype, **kwargs}
        device = kwargs.pop("device", None)
        made = args[0] if isinstance(args[0], Tensor) else torch.tensor(*args, **kwargs)
        return made.to(device)


def _caller() -> str:
    """The innermost line of the package that is being run."""
    ours = [at for at in traceback.extract_stack() if at.filename.startswith(PACKAGE)]
    place = ours[-1] if ours else traceback.extract_stack()[0]
    return f"{Path(place.filename).name}: {place.line}"


class _Generator:
    """A generator of the CPU, whatever the device: torch has none for `meta`."""

    def __new__(cls, device: Any = None, make: Any = torch.Generator) -> Any:
        return make()


class _Autocast(torch.autocast):
    """As on other devices, but for `meta`, of which torch refuses even that it is off."""

    def __init__(self, device_type: str, *args: Any, **options: Any) -> None:
        super().__init__("cpu" if device_type == DEVICE.type else device_type, *args, **options)


@contextlib.contextmanager
def waits() -> Iterator[list[str]]:
    """Inside, `to_device` tensors compute; gives the waits, each with the line that asks for it."""
    with pytest.MonkeyPatch.context() as patch, _Numbers(), _Device() as device:
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch, "autocast", _Autocast)
        yield device.found


def to_device(batch: Any) -> Any:
    """A copy whose tensors are on the device."""
    return tree_map_only(Tensor, OnDevice, batch)
