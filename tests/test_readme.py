"""What our pages and scripts say can be typed, and their links lead somewhere."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairseq_budget.cli import find_command

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/README.md", "manifests/README.md")
    for path in ROOT.glob(pattern)
)
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("scripts/*.sh"))
START = re.compile(
    r"\s*(?:\$ |run |\w+=\$\(|OMP_NUM_THREADS=1 )?"
    r"(?=(?:budget-\w+ +-*\w|fairseq-hydra-train --|make \w|s3prl \w|python [-\w]|scripts/\w+\.sh))"
)
MENTION = re.compile(r"`(?:OMP_NUM_THREADS=1 )?((?:budget-|s3prl |python )[^`]+ [^`]+)`")
CHOICES = {"--task": "ic", "--size": "tiny"}  # what a variable may be, if not any number
OPERATOR = re.compile(r"[&|<>();]+")


def split(line: str) -> Iterator[list[str]]:
    """The words of a command, and of those that it is piped into; a shell's other syntax ends it.

    A variable that may be any number of words is left out, and what begins with another is 1.
    """
    shell = shlex.shlex(line, posix=True, punctuation_chars=True)
    shell.whitespace_split = True
    for is_end, words in itertools.groupby(shell, lambda word: bool(OPERATOR.fullmatch(word))):
        if is_end:
            if list(words) != ["|"]:
                return
            continue
        yield [
            re.sub(r"\$\{?\w+.*", "1", word)
            for word in words
            if not re.match(r"\$(\{.*@.*\}|@|)$|\$plan$", word)
        ]


def commands(pages: list[str], find: Callable[[str], list[str]]) -> list[Any]:
    """One test for each command that `find` finds in a line, named by its page and line."""
    return [
        pytest.param(words, id=f"{page}:{number}")
        for page in pages
        for number, line in enumerate(
            re.sub(r"\\\n\s*", "", (ROOT / page).read_text(encoding="utf-8")).split("\n"), start=1
        )
        for found in find(line)
        for words in split(found)
    ]


def typed(line: str) -> list[str]:
    start = START.match(line)
    return [line[start.end() :]] if start else []


COMMANDS = commands(PAGES + SCRIPTS, typed)
TRAININGS = [
    case for case in COMMANDS if case.values[0][0] in ("fairseq-hydra-train", "scripts/sweep.sh")
]
MENTIONS = commands(PAGES, MENTION.findall)
S3PRL = [case.values[0][1:] for case in COMMANDS + MENTIONS if case.values[0][0] == "s3prl"]
PARSE_S3PRL = """
import importlib, json, sys
from fairseq_budget.upstream.launch import find_config
from fairseq_budget.upstream.register import register

register()
runner = importlib.import_module("s3prl.run_downstream")
parse = runner.argparse.ArgumentParser.parse_args
def stop(parser):
    parse(parser)
    raise InterruptedError
runner.argparse.ArgumentParser.parse_args = stop
for program, *words in json.load(sys.stdin):
    assert program == "run_downstream.py"
    if "-d" in words:
        named = words[words.index("-c") + 1] if "-c" in words else None
        find_config(words[words.index("-d") + 1], named)
    sys.argv = [program, *words]
    try:
        runner.get_downstream_args()
    except InterruptedError:
        print("parsed")
"""


def parse_only(monkeypatch: pytest.MonkeyPatch, program: Callable[[], Any], *argv: str) -> None:
    """Run a program on a command line, up to where its own parser has read it."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        raise InterruptedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", list(argv))
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str((ROOT / argv[0]).parent))  # as for a script of its own
    with pytest.raises(InterruptedError):
        program()


def relax(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of a command that is mentioned in part: nothing is required, no value either."""
    for group in parser._mutually_exclusive_groups:
        group.required = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                relax(command)
        else:
            action.required = False
            action.nargs = "?" if action.nargs is None else action.nargs
    return parser


def check(words: list[str], monkeypatch: pytest.MonkeyPatch, *, in_part: bool = False) -> None:
    """Hold a command to the parser that will read it."""
    command, *words = words
    if command == "make":
        targets = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{words[0]}:", targets, re.MULTILINE)
    elif command == "python" and words[0] == "-c":
        compile(words[1], "<command>", "exec")
    elif command == "python":
        run = runpy.run_module if words[0] == "-m" else runpy.run_path
        name, *options = words[words[0] == "-m" :]
        path = str(ROOT / name) if run is runpy.run_path else name
        parse_only(monkeypatch, lambda: run(path, run_name="__main__"), name, *options)
    elif command.endswith(".sh"):
        assert os.access(ROOT / command, os.X_OK)
    elif command.startswith("budget-"):
        values = itertools.pairwise([command, *words])
        words = [CHOICES.get(before, word) if word == "1" else word for before, word in values]
        parser = find_command(command.removeprefix("budget-")).build_parser()
        parser = relax(parser) if in_part else parser
        if "--help" in words:
            with pytest.raises(SystemExit, match=r"^0$"):
                parser.parse_args(words)
        else:
            parser.parse_args(words)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_parses(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    check(words, monkeypatch)


@pytest.mark.parametrize("words", MENTIONS)
def test_every_command_in_a_sentence_parses_as_far_as_it_goes(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(words, monkeypatch, in_part=True)


@pytest.mark.s3prl
def test_every_s3prl_command_parses() -> None:
    """In a process apart, as importing s3prl changes what others find."""
    pytest.importorskip("s3prl")
    done = subprocess.run(
        [sys.executable, "-c", PARSE_S3PRL],
        input=json.dumps(S3PRL), capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.stdout.count("parsed") == len(S3PRL), done.stderr[-2000:]


@pytest.mark.fairseq
@pytest.mark.parametrize("words", TRAININGS)
def test_every_training_composes_its_preset_with_its_settings(words: list[str]) -> None:
    pytest.importorskip("fairseq")
    from tests.examples.test_presets import compose

    if "--config-name" not in words:
        pytest.skip("a script's further arguments")
    preset = words[words.index("--config-name") + 1]
    settings = [
        word
        for word in words[1:]
        if "=" in word and not word.endswith("=1") and not word.startswith("hydra")
    ]
    if preset in ("1", "PRESET") or "budget_1" in preset:
        return  # a variable of a script, or of a sentence
    assert words[0] != "fairseq-hydra-train" or "+task.user_dir=fairseq_budget" in settings
    compose(preset, *settings)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_ours(page: str) -> None:
    folder = (ROOT / page).parent
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (folder / place).resolve() if place else ROOT / page
        assert target.is_relative_to(ROOT)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_floors_that_are_drawn_are_those_of_the_contract() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    drawing = re.findall(r"^ ?\d+  (.+)$", page, re.MULTILINE)
    contract = re.search(r"layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)
    floors = re.findall(r'"(.+?)"', contract[1]) if contract else []
    drawn = [set(re.findall(r"\b(\w+)(?:/|\.py)", floor)) for floor in drawing]
    assert drawn == [set(floor.split(" | ")) for floor in floors] != []


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) > 100
    assert len(MENTIONS) > 20
    assert len(TRAININGS) > 20
