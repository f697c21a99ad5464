"""The one exception that users are meant to read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BudgetError(ValueError):
    """Something the user can cure: the message names the value, what was expected and the cure."""


def expected_one_of(word: object, choices: Iterable[str]) -> str:
    """The end of a message about an unknown word: all choices, and the one nearest to it."""
    return f"expected one of {', '.join(choices)}{did_you_mean(word, choices)}"


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """The choice nearest to a word, if one is near; else nothing."""
    near = get_close_matches(str(word), list(choices), n=1)
    return f"; did you mean {near[0]}?" if near else ""
