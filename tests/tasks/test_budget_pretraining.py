"""The task's errors: each names the value and the cure."""

import re

import numpy as np
import pytest

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq


def task_on(data, **options):
    from fairseq_budget.tasks.budget_pretraining import (
        BudgetPretrainingConfig,
        BudgetPretrainingTask,
    )

    return BudgetPretrainingTask(BudgetPretrainingConfig(data=str(data), seed=1, **options))


@pytest.fixture
def tones(tmp_path):
    write_tone_corpus(tmp_path, 4).write(tmp_path / "train.tsv")
    return tmp_path


def test_a_missing_folder_is_an_error_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(BudgetError, match=r"no folder; make it with `budget-manifest"):
        task_on(tmp_path / "nowhere")


def test_what_an_update_holds_is_in_the_models_config(tones):
    from fairseq_budget.tasks.budget_pretraining import BudgetPretrainingTask
    from tests.examples.test_presets import compose

    cfg = compose(
        "budget_tera_demo", f"task.data={tones}", "model.size=zipformer_tiny",
        "dataset.max_tokens=320000", "optimization.update_freq=[3]",
        "distributed_training.distributed_world_size=2",
    )  # fmt: skip
    task = BudgetPretrainingTask.setup_task(cfg.task)
    model = task.build_model(cfg.model)
    assert cfg.model.batch_seconds_per_update == 20 * 3 * 2
    model.set_num_updates(10)
    assert model.encoder.encoder.adjusted_batch_count == 2
    cfg.model.batch_seconds_per_update = 30.0  # as a checkpoint, or a user, says
    task.build_model(cfg.model)
    assert cfg.model.batch_seconds_per_update == 30


def test_an_update_of_so_many_utterances_holds_their_longest_crops(tones):
    from fairseq_budget.tasks.budget_pretraining import BudgetPretrainingTask
    from tests.examples.test_presets import compose

    limits = ["dataset.max_tokens=null", "dataset.batch_size=4", "task.max_sample_size=80000"]
    cfg = compose("budget_tera_demo", f"task.data={tones}", "model.size=tiny", *limits)
    BudgetPretrainingTask.setup_task(cfg.task).build_model(cfg.model)
    assert cfg.model.batch_seconds_per_update == 4 * 5


def test_a_missing_split_is_an_error(tones):
    with pytest.raises(BudgetError, match=r"valid.tsv does not exist; make it"):
        task_on(tones).load_dataset("valid")


def test_a_manifest_that_points_at_missing_files_is_an_error_at_the_start(tones):
    next(tones.rglob("*.wav")).unlink()
    with pytest.raises(BudgetError, match=r"1 of the 4 files .* missing .*speaker_./utterance_00"):
        task_on(tones).load_dataset("train")


def test_a_manifest_with_three_columns_is_an_error_that_names_the_line(tones):
    lines = (tones / "train.tsv").read_text().splitlines()
    lines[2] += "\textra"
    (tones / "train.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(BudgetError, match=r"train.tsv, line 3: .*column"):
        task_on(tones).load_dataset("train")


def test_a_batch_limit_smaller_than_one_utterance_is_an_error(tones):
    task = task_on(tones)
    task.load_dataset("train")
    longest = task.dataset("train").corpus.sizes.max()
    with pytest.raises(BudgetError, match=rf"max_tokens=8000 .* {longest}: raise it"):
        task.get_batch_iterator(task.dataset("train"), max_tokens=8000)


def test_utterances_shorter_than_asked_are_counted_in_the_log(tones, caplog):
    caplog.set_level("INFO")
    task_on(tones, min_sample_size=20000).load_dataset("train")
    assert re.search(r"train: \d utterances, .* [1-3] left out as shorter", caplog.text)


def test_the_share_of_audio_that_is_dropped_is_a_warning_once_per_split(tones, caplog):
    sizes = read_text(tones / "train.tsv").sizes
    limit = int(np.median(sizes))
    task_on(tones, min_sample_size=limit).load_dataset("train")
    share = sizes[sizes < limit].sum() / sizes.sum()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"task.min_sample_size={limit}) are dropped: {share:.2%} of train" in record.message


def test_the_share_of_audio_that_is_cropped_is_a_warning_once_per_split(tones, caplog):
    sizes = read_text(tones / "train.tsv").sizes
    task_on(tones, max_sample_size=20000).load_dataset("train")
    share = (sizes - sizes.clip(max=20000)).sum() / sizes.sum()
    (record,) = caplog.records
    assert f"task.max_sample_size=20000 (1.25 s) crops {share:.2%} of train" in record.message


def test_whole_utterances_warn_of_nothing(tones, caplog):
    task_on(tones, min_sample_size=0, max_sample_size=None).load_dataset("train")
    assert caplog.records == []


def test_a_minimum_that_drops_most_of_a_split_is_refused(tones):
    limit = int(read_text(tones / "train.tsv").sizes.max())
    with pytest.raises(
        BudgetError, match=rf"={limit}\) are dropped: \d.* train; set .*=0, or join"
    ):
        task_on(tones, min_sample_size=limit).load_dataset("train")
