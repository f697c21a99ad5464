"""What a run is made with."""

import subprocess

import numpy as np
import pytest
import torch

from fairseq_budget import __version__
from fairseq_budget.run import provenance
from fairseq_budget.run.provenance import History, checkout, read_sessions, software, summary


def git(folder, *words: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *own, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A checkout of a package, with another one that is installed below it and ignored."""
    for name in ("package", "installed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / ".gitignore").write_text("installed\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_a_checkout_has_a_commit_and_may_be_changed(repository):
    package = repository / "package"
    assert checkout(package) == (git(repository, "rev-parse", "HEAD"), False)
    (package / "__init__.py").write_text("changed = True\n")
    assert checkout(package)[1]


def test_a_package_that_is_only_installed_has_no_commit(repository, tmp_path_factory, monkeypatch):
    assert checkout(repository / "installed") == (None, False)
    assert checkout(tmp_path_factory.mktemp("elsewhere")) == (None, False)
    monkeypatch.setenv("PATH", "")  # no git
    assert checkout(repository / "package") == (None, False)


def test_versions_are_of_what_is_installed():
    found = software()
    assert found["fairseq_budget"] == __version__
    assert found["numpy"] == np.__version__
    assert found["torch"] == torch.__version__


@pytest.mark.fairseq
def test_fairseq_is_found_by_whatever_name_it_is_distributed():
    pytest.importorskip("fairseq")
    assert software()["fairseq"]


def train(command: str, monkeypatch, *earlier: dict, **manifests: str) -> list[dict]:
    """The sessions of a run that goes on from update 7, if there are earlier ones."""
    monkeypatch.setattr(provenance.sys, "argv", command.split())
    history = History()
    for split, manifest in manifests.items():
        history.add_data(split, manifest, {"km": "b" * 64, "txt": None})
    checkpoint = {"sessions": list(earlier), "optimizer_history": [{"num_updates": 7}]}
    history.begin(checkpoint if earlier else None)
    return history.sessions()


def test_a_session_joins_the_last_one_unless_it_is_made_with_something_else(monkeypatch):
    assert History().sessions() == []  # of a process that trains nothing
    one = train("/somewhere/train lr=1", monkeypatch, train="m1")
    assert [(each["command"], each["from_update"]) for each in one] == [("train lr=1", 0)]
    assert one[0]["data"] == {"train": {"manifest": "m1", "km": "b" * 64}}
    assert train("/elsewhere/train lr=1", monkeypatch, *one, train="m1") == one
    for other in ("train lr=1", "m2"), ("train lr=2", "m1"):
        two = train(other[0], monkeypatch, *one, train=other[1])
        assert two[:1] == one
        assert (two[1]["command"], two[1]["data"]["train"]["manifest"]) == other
        assert two[1]["from_update"] == 7


def test_people_see_the_last_session_and_that_there_were_others(monkeypatch):
    sessions = train("train 1", monkeypatch, {"command": "before"}, train="a" * 64)
    words = summary({"seed": 3, "sessions": sessions})
    assert words["made by"].startswith(f"fairseq_budget {__version__}")
    assert words["made by"].endswith("seed 3; 2 sessions, this is the last")
    assert words["made from"] == f"train: manifest {'a' * 12}, km {'b' * 12}"
    assert words["command"] == "train 1"
    assert summary({}) == {}


@pytest.mark.parametrize("odd", [7, [7], [{"commit": 1}], [{"data": {"train": 1}}]], ids=str)
def test_sessions_that_are_something_else_are_refused(odd):
    with pytest.raises(ValueError, match="sessions"):
        read_sessions(odd)
