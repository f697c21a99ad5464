"""What does not count in the loss is warned of where it is much, and refused where it is all."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from tests.models.test_tera import batch_of, net_input
from tests.tasks.test_budget_pretraining import task_on, tones  # noqa: F401

pytestmark = pytest.mark.fairseq


def counted(*updates: tuple[float, float]):
    from fairseq_budget.tasks._counted import Counted

    counted = Counted()
    for num_counted, num_heard in updates:
        counted.add(num_counted, num_heard, what="the symbols fit", cure="use fewer")
    return counted


def test_little_is_warned_of_once_with_its_share(caplog):
    some = counted((3, 10), (1, 10))
    some.judge()
    assert [r.message for r in caplog.records] == [
        "in 2 updates 20.0% of the symbols fit: use fewer"
    ]
    some.add(1, 10, what="", cure="")
    some.judge()
    assert len(caplog.records) == 1


def test_nothing_is_refused_and_a_run_that_has_heard_nothing_yet_is_not_judged(caplog):
    with pytest.raises(BudgetError, match=r"nothing is learned: in 1 updates 0.0% of the symbols"):
        counted((0, 10)).judge()
    counted().judge()
    counted((10, 10)).judge()
    assert caplog.records == []


def test_a_long_epoch_is_judged_before_its_end():
    with pytest.raises(BudgetError, match="in 200 updates"):
        counted(*[(0, 10)] * 200)


def criterion():
    from fairseq_budget.criterions.contrastive import (
        BudgetContrastiveConfig,
        BudgetContrastiveCriterion,
    )

    return BudgetContrastiveCriterion(BudgetContrastiveConfig(), task=None)


def unmasked(*num_samples: int) -> dict:
    inputs = net_input(*num_samples)
    inputs["mask_indices"][:] = False
    return {**inputs, "masked": inputs["masked"][:0]}


def logs_of(*inputs: dict) -> list:
    from tests.models.test_objectives import wav2vec2

    model, found = wav2vec2().train(), []
    for batch in inputs:
        loss, _, log = criterion()(model, batch_of(batch))
        loss.backward()
        found.append(log)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    return found


def test_a_batch_without_masked_frames_adds_nothing_and_has_no_weight_in_the_log():
    from fairseq.logging import metrics

    empty, full = logs_of(unmasked(8000, 8000), net_input(8000, 8000))
    assert empty["loss"] == 0
    assert (empty["sample_size"], empty["num_counted"], empty["num_heard"]) == (0, 0, 2)
    shown = []
    for logs in ([empty, full], [full]):
        with metrics.aggregate(new_root=True) as found:
            for log in logs:
                criterion().reduce_metrics([log])
        shown.append(found.get_smoothed_values())
    both, alone = shown
    assert all(torch.isfinite(torch.tensor(float(value))) for value in both.values())
    for name in ("loss", "contrastive", "contrastive_accuracy", "code_perplexity"):
        assert both[name] == alone[name], name


def test_an_epoch_without_masked_frames_is_refused_with_the_cure(tones):  # noqa: F811
    from fairseq.logging import metrics

    task = task_on(tones, max_update=0)
    with metrics.aggregate(new_root=True):
        logs = [log | {"bad_audio": 0} for log in logs_of(unmasked(400, 400))]
        task.reduce_metrics(logs, criterion().train())
    with pytest.raises(BudgetError, match=r"masked frames: .* set task.min_sample_size=720"):
        task.begin_epoch(2, None)


def test_symbols_that_nothing_explains_do_not_count():
    from tests.models.test_recognizers import build, criterion_of, sample

    batch = sample()
    long = torch.full((2, 200), 4)
    batch |= {"target": long, "target_lengths": torch.tensor([200, 200]), "ntokens": 400}
    for kind in ("ctc", "transducer"):
        _, _, log = criterion_of(kind)(build(kind).train(), batch)
        assert (float(log["num_counted"]), log["num_heard"]) == (0, 400)
