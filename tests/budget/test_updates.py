"""Parameters and updates against the tables of the budget study."""

import pytest

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.budget.updates import UpdatePlan, plan_updates
from fairseq_budget.errors import BudgetError
from fairseq_budget.papers.compute_budget import PAPER_RUNS
from fairseq_budget.sizes import SIZES

# HuBERT with 504 classes, wav2vec 2.0, TERA with 104 dead label embeddings: Table 4, to the unit.
TABLE_4 = {
    "slim_30": (5_863_744, 6_210_752, 5_726_990),
    "slim_50": (9_921_280, 10_268_288, 9_761_742),
    "slim_70": (14_094_464, 14_441_472, 13_923_534),
    "small": (20_905_344, 21_252_352, 20_688_846),
    "slim": (20_013_824, 20_360_832, 19_842_894),
    "slim_200": (40_003_136, 40_350_144, 39_806_574),
    "base": (94_697_600, 95_044_608, 94_458_318),
    "large": (316_603_264, 317_380_864, 315_588_814),
}
LEARNING_RATES = {  # HuBERT, wav2vec 2.0, TERA
    "slim_30": (5e-4, 4e-4, 5e-4),
    "small": (5e-4, 5e-4, 5e-4),
    "slim": (5e-4, 4e-4, 5e-4),
    "slim_200": (4e-4, 3e-4, 4e-4),
    "base": (3e-4, 2e-4, 3e-4),
    "large": (2e-4, 1e-4, 5e-5),
}


@pytest.mark.parametrize("size", TABLE_4)
def test_parameters_are_the_papers_less_its_unused_label_embeddings(size):
    row = count_parameters(size)
    paper = TABLE_4[size][2]
    assert row.paper == paper
    assert row.parameters == paper - 104 * (768 if size == "large" else 256)


@pytest.mark.parametrize("size", TABLE_4)
def test_parameters_of_hubert_and_wav2vec2_are_the_papers(size):
    for objective, expected in zip(("hubert", "wav2vec2"), TABLE_4[size], strict=False):
        row = count_parameters(size, objective)
        assert (row.parameters, row.paper) == (expected, expected)
        assert row.encoder + row.head == expected


def test_large_hubert_in_the_mode_of_the_paper():
    row = count_parameters("large", "hubert", extractor_mode="layer_norm")
    assert row.parameters == 316_609_408


def test_a_linear_head_has_one_layer_and_stands_in_no_table():
    row = count_parameters("base", "hubert", head="linear")
    assert row.parameters == 94_759_288
    assert row.head == 768 * 504 + 504
    assert row.paper is None


def test_number_of_clusters_counts_in_the_head():
    few = count_parameters("slim", "hubert", num_classes=104)
    assert count_parameters("slim", "hubert").head - few.head == 400 * 256
    assert few.paper is None


def test_unknown_objective_lists_the_known_ones():
    with pytest.raises(BudgetError, match="tera, hubert, wav2vec2"):
        count_parameters("slim", "apc")


def plan(size: str, objective: str = "tera", flops: float = 1.33e18, **options) -> UpdatePlan:
    return plan_updates(
        size, flops=flops, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=960,
        objective=objective, **options,
    )  # fmt: skip


@pytest.mark.parametrize("size", [size for size in PAPER_RUNS if size != "small"])
def test_updates_of_the_papers_budget_are_the_papers(size):
    row = plan(size)
    assert row.updates == pytest.approx(row.paper_updates, rel=0.002)


def test_updates_to_the_unit():
    assert plan("slim").updates == 399_981
    assert plan("small").updates == 417_018
    assert plan("small").paper_updates == 400_000


def test_the_papers_updates_stand_beside_its_own_budget_only():
    assert plan("slim", flops=1e18).paper_updates is None


@pytest.mark.parametrize(("size", "epochs"), [("slim_30", 24.74), ("large", 3.25)])
def test_epochs_are_the_papers(size, epochs):
    assert plan(size).epochs == pytest.approx(epochs, rel=0.01)


def test_the_objective_changes_parameters_and_rate_but_never_the_updates():
    rows = [plan("base", objective) for objective in ("tera", "hubert", "wav2vec2")]
    assert len({row.updates for row in rows}) == 1
    assert len({row.gflops_per_audio_second for row in rows}) == 1
    assert len({row.head_gflops_per_audio_second for row in rows}) == 3


@pytest.mark.parametrize("size", LEARNING_RATES)
def test_learning_rates_are_those_of_the_released_configurations(size):
    found = tuple(plan(size, objective).lr for objective in ("hubert", "wav2vec2", "tera"))
    assert found == LEARNING_RATES[size]


def test_overrides_are_what_hydra_takes():
    assert plan("large", "tera").overrides == (
        "model.size=large optimization.max_update=72129 optimization.lr=[0.00005] "
        "lr_scheduler.warmup_updates=5770"
    )
    line = plan("slim", "hubert", warmup_updates=32_000).overrides
    assert line.endswith("optimization.lr=[0.0005] lr_scheduler.warmup_updates=32000")


def test_a_size_without_a_rate_keeps_the_presets():
    assert "optimization.lr" not in plan("tiny").overrides


def test_warm_up_is_eight_per_cent():
    for size in SIZES:
        row = plan(size)
        assert row.warmup_updates == pytest.approx(0.08 * row.updates, abs=1)
