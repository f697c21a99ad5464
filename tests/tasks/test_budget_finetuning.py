"""The fine-tuning task's errors, and what it writes into a model's config."""

import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.symbols import write_dictionary
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq

ROWS = ["a b |", "b |"]


def task_on(data, **options):
    from fairseq_budget.tasks.budget_finetuning import BudgetFinetuningConfig, BudgetFinetuningTask

    return BudgetFinetuningTask(BudgetFinetuningConfig(data=str(data), seed=1, **options))


@pytest.fixture
def data(tmp_path):
    write_tone_corpus(tmp_path, 2).write(tmp_path / "train.tsv")
    write_column(tmp_path / "train.tsv", "ltr", ROWS, None)
    write_dictionary(tmp_path, "ltr", ROWS)
    return tmp_path


def test_a_split_is_its_utterances_and_their_symbols(data):
    task = task_on(data)
    task.load_dataset("train")
    batches = task.get_batch_iterator(task.dataset("train"), max_tokens=64000)
    batch = next(batches.next_epoch_itr(shuffle=False))
    dictionary = task.target_dictionary
    pairs = zip(batch["target"], batch["target_lengths"], strict=True)
    texts = {dictionary.string(row[:length]) for row, length in pairs}
    assert texts == set(ROWS)


def test_a_missing_dictionary_is_an_error_with_the_command_that_makes_it(data):
    with pytest.raises(BudgetError, match=r"dict.bpe.txt does not exist; .*`budget-asr prepare`"):
        task_on(data, labels="bpe")


def test_transcripts_of_another_manifest_are_refused(data):
    write_tone_corpus(data, 2, seed=3).write(data / "train.tsv")
    with pytest.raises(BudgetError, match="made for another manifest"):
        task_on(data).load_dataset("train")


def test_an_utterance_that_would_have_to_be_cropped_is_refused(data):
    with pytest.raises(BudgetError, match=r"max_sample_size=8000, but train .* cannot be cropped"):
        task_on(data, max_sample_size=8000).load_dataset("train")


def test_a_zipformers_schedules_are_over(data):
    from fairseq_budget.tasks.budget_finetuning import BudgetFinetuningTask
    from tests.examples.test_presets import compose

    cfg = compose("budget_ctc_demo", f"task.data={data}", "model.size=zipformer_tiny")
    model = BudgetFinetuningTask.setup_task(cfg.task).build_model(cfg.model)
    model.set_num_updates(10)
    assert model.encoder.encoder.adjusted_batch_count == float("inf")


def test_weights_join_a_running_mean_that_survives_an_interruption(data):
    import torch

    from fairseq_budget.tasks.budget_finetuning import BudgetFinetuningTask
    from tests.examples.test_presets import compose

    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    paths = [f"task.data={data}", f"checkpoint.save_dir={data}", "task.labels=ltr"]
    cfg = compose("budget_ctc_demo", *paths, "task.mean_interval=2")
    for updates in (range(3), range(3, 6)):
        task = BudgetFinetuningTask.setup_task(cfg.task)
        task.begin_training(model)
        for update in updates:
            model.weight.data.fill_(update)
            task.optimizer_step(optimizer, model, update)
        history = [{"num_updates": updates[-1] + 1}]
        state = {"model": {}, "task_state": task.state_dict(), "optimizer_history": history}
        torch.save(state, data / "checkpoint_last.pt")
    assert task.state_dict()["weights_count"] == 3
    assert task.state_dict()["weights_mean"]["weight"].item() == 3  # of updates 1, 3 and 5
    assert "weights_mean" not in task_on(data).state_dict()


def test_the_running_mean_comes_from_the_file_that_fairseq_restores(data, monkeypatch):
    import torch

    from fairseq_budget.pretrained.averaging import RunningMean
    from fairseq_budget.tasks.budget_finetuning import BudgetFinetuningTask
    from tests.examples.test_presets import compose

    mean = RunningMean({"weight": torch.ones(1)}, 7)
    history = [{"num_updates": 7}]
    state = {"model": {}, "task_state": mean.state_dict(), "optimizer_history": history}
    torch.save(state, data / "other.pt")
    monkeypatch.chdir(data.parent)
    cfg = compose(
        "budget_ctc_demo", f"task.data={data}", "task.labels=ltr", "task.mean_interval=2",
        f"checkpoint.save_dir={data}/run", f"checkpoint.restore_file={data.name}/other.pt",
    )  # fmt: skip
    task = BudgetFinetuningTask.setup_task(cfg.task)
    task.begin_training(None)
    assert task.state_dict()["weights_count"] == 7


def test_a_run_never_goes_on_with_its_letters_in_another_order(data):
    state = task_on(data).state_dict()
    task_on(data).load_state_dict(state)
    lines = (data / "dict.ltr.txt").read_text().splitlines(keepends=True)
    (data / "dict.ltr.txt").write_text("".join(lines[::-1]))
    with pytest.raises(BudgetError, match="another order, than the checkpoint"):
        task_on(data).load_state_dict(state)
