"""scripts/gpu_card.py in its small form, so that it works when a GPU is there; and its runner."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CARD = ROOT / "scripts/gpu_card.py"

RUNNER = f"""
import os, sys, time
sys.path.insert(0, {str(CARD.parent)!r})
import gpu_card
from gpu_checks import CHECKS, Skipped
from gpu_checks.registry import check

for name in CHECKS.keys() - {{"losses", "budget_tera_demo", "budget-asr decode"}}:
    del CHECKS[name]

@check("is wrong")
def wrong(options):
    yield {{"what": "a number", "ok": False}}

@check("raises")
def raises(options):
    yield {{"what": "before"}}
    raise ValueError("on purpose")

@check("has nothing to do")
def nothing(options):
    raise Skipped("one GPU")
    yield {{}}

@check("hangs", limit_s=1)
def hangs(options):
    yield {{"what": "before"}}
    time.sleep(100)

@check("dies")
def dies(options):
    yield {{"what": "before"}}
    os._exit(3)

@check("works")
def works(options):
    yield {{"what": "1 + 1", "found": 2, "ok": True}}

if __name__ == "__main__":
    sys.exit(gpu_card.main())
"""


def card(script, out, *words, env=None):
    """Exit code, what is printed, and the checks in the json."""
    done = subprocess.run(
        [sys.executable, str(script), "--cpu", "--small", "--out", str(out), *words],
        capture_output=True, text=True, check=False, timeout=300, env=env,
    )  # fmt: skip
    checks = json.loads(out.read_text())["checks"] if out.exists() else {}
    return done.returncode, done.stdout + done.stderr, checks


@pytest.mark.fairseq
@pytest.mark.slow
def test_the_small_form_checks_and_times_training_beside_stock_fairseq(tmp_path):
    pytest.importorskip("fairseq")
    parts = ["save,", "budget-", "budget_hubert_demo", "times of"]
    code, printed, checks = card(CARD, tmp_path / "card.json", "--only", *parts)
    assert code == 0, printed
    assert {result["status"] for result in checks.values()} == {"ok"}
    rows = {row["objective"]: row for row in checks["times of updates"]["rows"]}
    assert {"fairseq's HuBERT", "HuBERT", "TERA", "wav2vec 2.0"} <= rows.keys()
    assert all(0 < row["share of peak"] < 1 for row in rows.values())
    assert "| budget_hubert_demo " in printed


@pytest.mark.slow
def test_a_check_that_fails_hangs_dies_or_lacks_a_package_costs_only_itself(tmp_path):
    script = tmp_path / "runner.py"
    script.write_text(RUNNER)
    for name in ("fairseq", "soundfile"):
        text = f"raise ModuleNotFoundError('none of it here', name={name!r})\n"
        (tmp_path / f"{name}.py").write_text(text)
    env = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    code, printed, checks = card(script, tmp_path / "card.json", env=env)
    assert code == 1
    assert {name: result["status"] for name, result in checks.items()} == {
        "losses": "ok", "budget-asr decode": "needs soundfile", "budget_tera_demo": "needs fairseq",
        "is wrong": "failed", "raises": "failed", "has nothing to do": "skipped",
        "hangs": "timed out", "dies": "died", "works": "ok",
    }  # fmt: skip
    assert "ValueError: on purpose" in checks["raises"]["error"]
    assert all(len(checks[name]["rows"]) == 1 for name in ("raises", "hangs", "dies", "works"))
    assert "on purpose" in printed


def test_every_preset_has_a_check_and_what_the_time_does_not_allow_is_listed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(CARD.parent)
    import gpu_card

    options = gpu_card.Options("cpu", True, ["fp32"], tmp_path)
    found = {"machine": {}, "checks": {}}
    gpu_card.run(list(gpu_card.CHECKS), options, -1, found, tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text()) == found
    assert {result["status"] for result in found["checks"].values()} == {"not reached"}
    assert {path.stem for path in (ROOT / "examples").glob("*.yaml")} < found["checks"].keys()
    assert "| not reached | 0.0 " in gpu_card.report(found)
