"""What the README says can be typed."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from fairseq_budget.cli import find_command

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "examples/README.md", "manifests/README.md", "docs/asr.md", "docs/budget.md",
         "docs/paper_budget.md", "docs/paper_compression.md", "docs/paper_k2ssl.md",
         "docs/paper_lengths.md", "docs/scale.md", "scripts/demo.sh",
         "scripts/results.sh"]  # fmt: skip
COMMANDS = [
    pytest.param(line.strip(), id=f"{page}:{number}")
    for page in PAGES
    for number, line in enumerate(
        re.sub(r"\\\n\s*", "", (ROOT / page).read_text()).splitlines(), start=1
    )
    if re.match(r"\s*(run )?(budget-\w+ -*\w|fairseq-hydra-train|make )", line)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line):
    line = line.removeprefix("run ").split("&&")[0].split(" | ")[0].split("  #")[0]
    command, *words = shlex.split(line)
    words = [
        re.sub(r"\$\{?\w+.*", "ic" if before == "--task" else "1", word)
        for before, word in itertools.pairwise([command, *words])
        if word != "$@"  # a shell function's further options
    ]
    if command == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif command == "fairseq-hydra-train":
        if "PRESET" not in words:
            name = words[words.index("--config-name") + 1]
            assert (ROOT / "examples" / f"{name}.yaml").exists()
            assert "+task.user_dir=fairseq_budget" in words
    else:
        name = command.removeprefix("budget-")
        find_command(name).build_parser().parse_args(words)


def test_there_are_commands_to_test():
    assert len(COMMANDS) > 15
