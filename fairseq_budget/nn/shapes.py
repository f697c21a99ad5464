"""Modules of shapes alone, to count and to compare: nothing is allocated, nothing drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules that are built inside are on torch's meta device, and their weights are not filled.

    Of ``torch.device("meta")`` alone, random numbers and norms that do not exist are found by
    torch's compiler, whose import takes longer than that of torch.
    """
    with _Unfilled(), torch.device("meta"):
        yield


class _Unfilled(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func.__name__ in ("normal_", "uniform_", "kaiming_uniform_", "fill_", "zero_"):
            return args[0] if args else options["tensor"]
        if func is Tensor.norm:  # of zeros without memory
            args = (torch.zeros(()).expand(args[0].shape), *args[1:])
        return func(*args, **options)
