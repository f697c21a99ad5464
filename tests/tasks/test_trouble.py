"""What the logs of a run that goes wrong say about it, and what a sound one's do not."""

import pytest

from fairseq_budget.errors import BudgetError

pytestmark = pytest.mark.fairseq

SOUND = {
    "output_spread": 0.4,
    "unexplained": 0.9,
    "top_class": 0.3,
    "top_label": 0.05,
    "code_perplexity": 80.0,
}


def heard(losses, *, start: int = 600, stop: bool = False, norms=None, warmup=0, **signs: float):
    from fairseq_budget.tasks._trouble import NUM_JUDGED, Trouble

    trouble = Trouble(lambda said: ". replay me", stop=stop, warmup_updates=warmup)
    values = {**SOUND, **signs}
    for place, loss in enumerate(losses):
        for step in range(NUM_JUDGED):
            log = {"loss": 10 * loss, "sample_size": 10}
            for name, value in values.items():
                log |= {f"{name}.sum": 10 * value, f"{name}.count": 10}
            norm = norms[place] if norms else 1.0
            trouble.add([log, log], start + place * NUM_JUDGED + step, norm)


def test_a_run_that_learns_says_nothing(caplog):
    heard([5.0, 4.0, 6.0, 3.0])
    assert caplog.records == []


def test_a_loss_that_climbs_is_told_once_with_where_it_was(caplog):
    heard([2.0, 1.0, 4.5, 5.0, 4.0], start=0)
    told = [record.message for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("updates 101 to 150: the loss is 4.5 times what it was (it rose")
    assert "optimization.lr" in told[0]
    assert told[0].endswith("replay me")


def test_gradients_that_explode_are_told_before_the_loss_is_lost(caplog):
    heard([2.0, 2.0, 2.0], start=0, norms=[1.0, 40.0, 150.0])
    (record,) = caplog.records
    assert "updates 101 to 150: the norm of the gradients is 150.0 times what" in record.message


@pytest.mark.parametrize(
    ("sign", "value", "words"),
    [
        ("output_spread", 1e-6, "the same output whatever it hears"),
        ("unexplained", 1.01, "no nearer to what was masked than the mean of all frames"),
        ("top_class", 1.0, "one cluster is predicted always"),
        ("top_label", 0.95, "nearly all there is to learn"),
        ("code_perplexity", 2.0, "the codebooks have collapsed"),
    ],
)
def test_a_collapse_is_told_with_its_causes_and_ends_the_run_if_that_is_asked(
    caplog, sign, value, words
):
    heard([1.0, 1.0], **{sign: value})
    assert [words in record.message for record in caplog.records] == [True]
    with pytest.raises(BudgetError, match=rf"updates 601 to 650: .*{words}.*likely"):
        heard([1.0], stop=True, **{sign: value})


def test_the_first_updates_may_have_found_nothing_yet(caplog):
    heard([1.0] * 10, start=0, top_class=1.0)
    heard([1.0] * 4, start=600, top_class=1.0, warmup=2000)
    assert caplog.records == []


def test_an_output_spreads_from_none_to_one():
    import torch

    from fairseq_budget.models._base import output_spread

    frames = torch.randn(4, 500, 8, generator=torch.Generator().manual_seed(0))
    assert 0.99 < float(output_spread(frames)) <= 1
    assert abs(float(output_spread(torch.ones(2, 3, 4)))) < 1e-6
    assert abs(float(output_spread(frames + 3)) - 0.1) < 0.02
    assert float(output_spread(torch.zeros(2, 3, 4))) == 0


def test_what_is_found_elsewhere_is_told_once_and_may_spare_the_run(caplog):
    from fairseq_budget.tasks._trouble import Trouble

    trouble = Trouble(lambda said: "", stop=True)
    trouble.tell("below", "too good", may_stop=False)
    trouble.tell("below", "too good", may_stop=False)
    assert [record.message for record in caplog.records] == ["too good"]
    with pytest.raises(BudgetError, match=r"too bad\. The run ends"):
        trouble.tell("above", "too bad")
