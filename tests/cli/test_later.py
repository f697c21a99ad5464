"""Imports that wait until they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_budget import cli
from fairseq_budget.cli.later import imported_later

HEAVY = ("torch", "sklearn", "scipy", "matplotlib", "plotly", "s3prl", "fairseq", "transformers")
ALL_HELP = """
import sys
from fairseq_budget.cli import find_command

def paths(parser, typed=()):
    yield typed
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for name, subcommand in action.choices.items():
            yield from paths(subcommand, (*typed, name))

for name in sys.argv[1].split():
    command = find_command(name)
    for typed in paths(command.build_parser()):
        try:
            command.main([*typed, "--help"])
        except SystemExit as end:
            assert end.code == 0
print("imported:", *sys.modules)
"""
COMMANDS = "asr corpus downstream export import labels manifest plan report train"


def test_no_help_imports_what_commands_work_with():
    words = [sys.executable, "-c", ALL_HELP, COMMANDS]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.count("usage: budget-") > 40
    imported = done.stdout.rpartition("imported: ")[2].split()
    assert not set(HEAVY).intersection(imported)


def test_no_constant_is_among_what_is_imported_later():
    """What stands for it would be printed in its place."""
    for path in Path(cli.__file__).parent.rglob("*.py"):
        for block in ast.parse(path.read_text()).body:
            for statement in block.body if isinstance(block, ast.With) else ():
                if isinstance(statement, ast.ImportFrom):
                    names = [each.asname or each.name for each in statement.names]
                    assert not [name for name in names if name.isupper()], path


def test_a_name_is_imported_when_it_is_called_or_asked_for_something():
    with imported_later():
        from colorsys import rgb_to_hsv
        from fractions import Fraction
    sys.modules.pop("colorsys", None)
    assert Fraction.from_float(0.5) == Fraction(1, 2)
    assert "colorsys" not in sys.modules
    assert rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert "colorsys" in sys.modules


def test_a_name_that_is_not_there_is_told_when_it_is_used():
    with imported_later():
        from fractions import nothing
    with pytest.raises(AttributeError, match="'fractions' has no attribute 'nothing'"):
        nothing()


def test_afterwards_imports_are_as_ever():
    with pytest.raises(ZeroDivisionError), imported_later():
        1 / 0  # noqa: B018
    with pytest.raises(ImportError, match="nothing"):
        from fractions import nothing  # noqa: F401
