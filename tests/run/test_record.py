"""An update written down, and read again; the lines of a manifest are those of then."""

import json

import pytest

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.record import Batch, Record, check_same, read_record, write_record

RECORD = Record(12, "the loss is NaN", "train", [Batch(3, [1, 0], ["b.wav", "a.wav"])])


def test_what_is_written_is_read(tmp_path):
    path = write_record(tmp_path, RECORD)
    assert path == tmp_path / "trouble/update_12.json"
    assert read_record(path) == RECORD
    assert write_record(tmp_path, RECORD, rank=1).name == "update_12_rank1.json"


@pytest.mark.parametrize(
    ("field", "value"),
    [("update", -1), ("batches", [{"epoch": 1, "lines": [0], "utterances": []}]), ("said", None)],
)
def test_what_is_no_record_is_refused_by_name(tmp_path, field, value):
    path = write_record(tmp_path, RECORD)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(BudgetError, match=r"update_12.json is no record of an update \("):
        read_record(path)


@pytest.mark.parametrize("names", [["b.wav", "a.wav"], ["a.wav"]])
def test_a_manifest_of_other_utterances_is_refused(names):
    check_same(RECORD, ["a.wav", "b.wav"].__getitem__, "train.tsv")
    with pytest.raises(BudgetError, match=r"of train.tsv is .*, but was b.wav when"):
        check_same(RECORD, names.__getitem__, "train.tsv")
