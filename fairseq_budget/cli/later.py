"""Imports that wait until they are needed: ``--help`` needs nothing of what a command works with.

A module of a command says what it works with at its top, as any other module::

    with imported_later():
        from fairseq_budget.budget.parameters import count_parameters

and torch, which counting needs, is imported by the first call of `count_parameters`. What arguments
are made of (choices, defaults) is no such import, and comes from modules that are light.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any


@contextmanager
def imported_later() -> Iterator[None]:
    """``from module import function, Class`` inside imports nothing until these are used.

    To be used is to be called or asked for an attribute; types in annotations are not. So
    constants, modules, and classes that something is tested against, are imported elsewhere.
    """
    usual = builtins.__import__
    builtins.__import__ = _names_of  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.__import__ = usual


def _names_of(
    module: str,
    _globals: Mapping[str, object] | None = None,
    _locals: Mapping[str, object] | None = None,
    names: Sequence[str] | None = (),
    _level: int = 0,
) -> SimpleNamespace:
    """What stands for a module in its import: the names that are taken from it."""
    return SimpleNamespace(**{name: _Later(module, name) for name in names or ()})


class _Later:
    """A function or a class, by the name of its module and its own."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._import()(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._import(), name)

    def _import(self) -> Any:
        module, name = self._place
        return getattr(import_module(module), name)
