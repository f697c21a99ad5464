"""The batches of an update are heard again as they were, down to the dropout."""

import itertools
import json

import pytest

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.data.batches import Limits
from fairseq_budget.run.record import Batch, Record, write_record
from tests.conftest import run, train_command
from tests.log_lines import log_lines

pytestmark = pytest.mark.fairseq


def third_update(data, folder) -> Record:
    """Two batches, as `command` below makes them."""
    from fairseq_budget.data.audio_dataset import BudgetAudioDataset
    from fairseq_budget.data.epoch_iterator import EpochBatches

    dataset = BudgetAudioDataset(read_text(data / "train.tsv"), seed=1337, max_sample_size=16000)
    batches = EpochBatches(dataset, dataset.batches(Limits(64000))).next_epoch_itr()
    heard = [
        Batch(sample["epoch"], sample["id"].tolist(), sample["utterances"])
        for sample in itertools.islice(batches, 4, 6)
    ]
    return Record(3, "said before", "train", heard)


def test_a_recorded_update_has_the_loss_that_was_logged(data, tmp_path):
    done = run(
        *train_command(
            data, tmp_path, "optimization.max_update=3", "optimization.update_freq=[2]",
            "checkpoint.save_interval_updates=1", "common.log_format=json", "common.log_interval=1",
            "dataset.disable_validation=true", "task.max_sample_size=16000",
            "task.min_sample_size=0", "dataset.max_tokens=64000", "model.dropout=0.1",
        )
    )  # fmt: skip
    record = write_record(tmp_path, third_update(data, tmp_path))
    replay = ["budget-report", "replay", record, "--checkpoint", tmp_path / "checkpoint_1_2.pt"]
    rows = json.loads(run(*replay, "--json").stdout)
    batches = [row for row in rows if row["what"].startswith("batch ")]
    assert len(batches) == 2
    loss = sum(row["loss"] * row["seconds"] for row in batches) / sum(r["seconds"] for r in batches)
    logged = float(log_lines(done)[2]["loss"])
    assert loss == pytest.approx(logged, rel=1e-3)  # of which batch has how many masked frames

    shown = run(*replay, "--wav", tmp_path / "heard").stdout
    assert "said before" in shown
    assert len(list((tmp_path / "heard").glob("*.wav"))) == len(rows) - 2
