"""Finds the first module that gives NaN or inf, and the utterances for which it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from fairseq_budget.nn.compiled import as_written


@dataclass(frozen=True)
class Fault:
    """``where`` it began; ``rows`` of the batch that have it, empty where that cannot be told."""

    where: str
    rows: tuple[int, ...] = ()


def find_fault(model: nn.Module, compute: Callable[[], Tensor], *, batch_size: int) -> Fault | None:
    """Watch ``compute``, which runs ``model`` and gives the loss; None if all is finite.

    Looked at in turn: weights, outputs in the order of computation, the loss, and the gradients if
    there was a backward pass.
    """
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            return Fault(f"the weights of {_module_of(name)}")
    outputs: list[str] = []
    with as_written(model), _watching(model, outputs, batch_size) as faults:
        loss = compute()
    if not faults and not loss.isfinite().all():
        return Fault("the loss")
    return faults[0] if faults else _gradient_fault(model, outputs)


@contextmanager
def _watching(model: nn.Module, outputs: list[str], batch_size: int) -> Iterator[list[Fault]]:
    """Fill ``outputs`` with the names of leaves as they finish; yields the faults seen."""
    faults: list[Fault] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if not any(True for _ in module.children()):
                outputs.append(name)
            if not faults:
                faults.extend(_output_faults(name, output, batch_size))

        return hook

    named = [(name, module) for name, module in model.named_modules() if _is_part(name)]
    handles = [module.register_forward_hook(look(_clean(name))) for name, module in named]
    try:
        yield faults
    finally:
        for handle in handles:
            handle.remove()


def _output_faults(name: str, output: Any, batch_size: int) -> Iterator[Fault]:
    """Parts of a module's output that are not finite; ``rows`` if its first dimension is B."""
    for x in output if isinstance(output, (tuple, list)) else [output]:
        if isinstance(x, Tensor) and x.is_floating_point() and not x.isfinite().all():
            rows: list[int] = []
            if x.dim() > 1 and len(x) == batch_size:
                rows = (~x.isfinite()).flatten(1).any(1).nonzero()[:, 0].tolist()
            yield Fault(f"the output of {name}", tuple(rows))


def _gradient_fault(model: nn.Module, outputs: list[str]) -> Fault | None:
    """The backward pass begins at the leaf that finished last. Norms overflow first."""
    bad = [
        _module_of(name)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not parameter.grad.float().norm().isfinite()
    ]
    last = {name: place for place, name in enumerate(outputs)}
    bad.sort(key=lambda name: last.get(name, -1))
    return Fault(f"the gradient of {bad[-1]}") if bad else None


def _is_part(name: str) -> bool:
    """The whole model's logits may be -inf on purpose, and wrappers only hand on."""
    return bool(_clean(name))


def _clean(name: str) -> str:
    """Without the wrappers of several GPUs."""
    return ".".join(word for word in name.split(".") if word != "module")


def _module_of(parameter: str) -> str:
    return _clean(parameter).rpartition(".")[0] or _clean(parameter)
