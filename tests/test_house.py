"""The rules of the house, as tests."""

import re
import subprocess
import sys
from pathlib import Path

import fairseq_budget

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fairseq_budget"
HOST_FLOORS = {
    "cli", "tasks", "models", "criterions", "optimizers", "data", "upstream", "hydra_plugins",
    "launch",
}  # fmt: skip
GROUND = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in HOST_FLOORS
)


def test_the_ground_floor_imports_without_any_host():
    code = f"""
import importlib, sys
for host in ("fairseq", "s3prl", "hydra", "omegaconf", "torchaudio"):
    sys.modules[host] = None  # importing it raises ImportError
for name in {GROUND!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(GROUND) > 25


def test_the_package_itself_imports_nothing():
    code = "import sys; a = set(sys.modules); import fairseq_budget; print(*set(sys.modules) - a)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fairseq_budget"]


def test_the_newest_changelog_entry_is_this_version():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == fairseq_budget.__version__


def test_nothing_read_from_a_file_is_ever_executed():
    forbidden = re.compile(r"\beval\(|\bexec\(|weights_only=False|pickle\.load|allow_pickle=True")
    # a method named eval, or modules put into eval mode, are something else
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if forbidden.search(line.replace(".eval()", ""))
    ]
    assert found == []


def test_one_third_party_package_has_one_door():
    doors = {
        "soundfile": "audio/io.py",
        "soxr": "audio/resample.py",
        "matplotlib": "report/plots.py",
        "plotly": "report/interactive.py",
        "tqdm": "console/progress.py",
        "h5py": "labels/layer_files.py",
    }
    for package, door in doors.items():
        pattern = re.compile(rf"^\s*(import|from) {package}\b", re.MULTILINE)
        found = [
            str(path.relative_to(PACKAGE))
            for path in PACKAGE.rglob("*.py")
            if pattern.search(path.read_text())
        ]
        assert found == [door], package
