"""The lines that a model card shows load what was exported, typed as they stand."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fairseq_budget.cli.export import main
from fairseq_budget.pretrained import save_pretrained
from tests.conftest import run
from tests.own_models import random_checkpoint, random_recognizer

BLOCK = re.compile(r"^([\w ]+):\n\n```python\n(.+?)\n```$", re.DOTALL | re.MULTILINE)
MODELS = {
    "tera": lambda: random_checkpoint("budget_tera"),
    "wav2vec2": lambda: random_checkpoint("budget_wav2vec2", normalize=True),
    "segments": lambda: random_checkpoint("budget_tera", subsample="segments"),
    "zipformer": lambda: random_checkpoint(size="zipformer_tiny", encoder_layers=2),
    "ctc": random_recognizer,
}
NEEDED = {  # by what is exported for what: the packages of its blocks, in order
    ("tera", "portable"): ["fairseq_budget", "s3prl"],
    ("segments", "portable"): ["fairseq_budget"],
    ("zipformer", "portable"): ["fairseq_budget", "s3prl"],
    ("tera", "transformers"): ["transformers"],
    ("ctc", "transformers"): ["transformers"],
    ("wav2vec2", "fairseq"): ["fairseq"],
    ("tera", "onnx"): ["onnxruntime"],
    ("ctc", "onnx"): ["onnxruntime"],
    ("tera", "torch"): ["torch"],
    ("ctc", "torch"): ["torch"],
}
RUN_ALL = """
import json, os, sys, traceback

blocks, ended = json.load(open(sys.argv[1])), []
for folder, code in blocks:
    os.chdir(folder)
    try:
        exec(code, {})
        ended.append("")
    except Exception:
        ended.append(traceback.format_exc())
json.dump(ended, open(sys.argv[2], "w"))
"""


def is_there(model: str, tool: str) -> bool:
    packages = [*NEEDED[model, tool], *(["onnxscript"] if tool == "onnx" else [])]
    return all(find_spec(package) for package in packages)


def blocks(folder: Path) -> dict[str, str]:
    """The Python of a card by the package that it is for."""
    return dict(BLOCK.findall((folder / "README.md").read_text()))


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> dict[tuple[str, str], dict[str, str]]:
    """How the blocks of each card ended, "" if well; in one process, as imports take long."""
    top, found = tmp_path_factory.mktemp("cards"), {}
    for model, tool in NEEDED:
        if is_there(model, tool):
            save_pretrained(top / model, MODELS[model]())
            folder = top / f"{model}_{tool}"
            assert main([f"{top / model}", f"{folder}", "--to", tool]) == 0
            found[model, tool] = {name: (folder, code) for name, code in blocks(folder).items()}
    every = [(str(folder), code) for own in found.values() for folder, code in own.values()]
    (top / "blocks.json").write_text(json.dumps(every))
    run(sys.executable, "-c", RUN_ALL, top / "blocks.json", top / "ended.json",
        env={"HF_HUB_OFFLINE": "1"})  # fmt: skip
    how = iter(json.loads((top / "ended.json").read_text()))
    assert all(len(code.splitlines()) in (4, 5) for _, code in every)
    return {case: {name: next(how) for name in own} for case, own in found.items()}


@pytest.mark.slow
@pytest.mark.s3prl
@pytest.mark.fairseq
@pytest.mark.parametrize(("model", "tool"), NEEDED)
def test_the_few_lines_of_the_card_load_and_hear(model, tool, ended):
    if not is_there(model, tool):
        pytest.skip(f"needs {' and '.join(NEEDED[model, tool])}")
    assert ended[model, tool] == dict.fromkeys(NEEDED[model, tool], "")
