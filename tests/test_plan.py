"""Parameters and updates against the tables of the budget study."""

import pytest

from fairseq_budget.plan import PAPER_RUNS, count_parameters, plan_updates

TABLE_4 = {
    "slim_30": 5_726_990,
    "slim_50": 9_761_742,
    "slim_70": 13_923_534,
    "small": 20_688_846,
    "slim": 19_842_894,
    "slim_200": 39_806_574,
    "base": 94_458_318,
    "large": 315_588_814,
}


@pytest.mark.parametrize("size", TABLE_4)
def test_parameters_are_the_papers_less_its_unused_label_embeddings(size):
    row = count_parameters(size)
    assert row["paper"] == TABLE_4[size]
    assert row["parameters"] == TABLE_4[size] - 104 * (768 if size == "large" else 256)


def plan(size: str) -> dict:
    return plan_updates(
        size, flops=1.33e18, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=960
    )


@pytest.mark.parametrize("size", [size for size in PAPER_RUNS if size != "small"])
def test_updates_of_the_papers_budget_are_the_papers(size):
    row = plan(size)
    assert row["updates"] == pytest.approx(row["paper_updates"], rel=0.002)


def test_updates_to_the_unit():
    assert plan("slim")["updates"] == 399_981
    assert plan("small")["updates"] == 417_018  # the paper ran 400,000


@pytest.mark.parametrize(("size", "epochs"), [("slim_30", 24.74), ("large", 3.25)])
def test_epochs_are_the_papers(size, epochs):
    assert plan(size)["epochs"] == pytest.approx(epochs, rel=0.01)
