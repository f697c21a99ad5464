"""The hashes of what a task opens are those of the files."""

import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.symbols import write_dictionary
from fairseq_budget.files import sha256_file
from fairseq_budget.run.provenance import History
from tests.labelled import labelled, manifests, small_parts, tones  # noqa: F401

pytestmark = pytest.mark.fairseq


@pytest.fixture
def history(monkeypatch) -> History:
    from fairseq_budget.tasks import _base

    monkeypatch.setattr(_base, "history", History())
    return _base.history


def opened(history: History) -> dict:
    history.begin()
    return history.sessions()[0]["data"]


@pytest.mark.parametrize("is_packed", [False, True], ids=["text", "pack"])
def test_labels_have_their_hash_packed_or_not(labelled, history, is_packed):  # noqa: F811
    from tests.tasks.test_budget_pretraining import task_on

    if is_packed:
        pack_split(labelled / "train.tsv")
    task_on(labelled, labels="km").load_dataset("train")
    manifest = Manifest.read(labelled / "train.tsv").hash
    assert opened(history) == {
        "train": {"manifest": manifest, "km": sha256_file(labelled / "train.km")}
    }


def test_transcripts_have_their_hash(manifests, history):  # noqa: F811
    from tests.tasks.test_budget_finetuning import task_on

    rows = ["a b |"] * len(Manifest.read(manifests / "train.tsv").utterances)
    write_column(manifests / "train.tsv", "ltr", rows, None)
    write_dictionary(manifests, "ltr", rows)
    task_on(manifests).load_dataset("train")
    assert opened(history)["train"]["ltr"] == sha256_file(manifests / "train.ltr")
