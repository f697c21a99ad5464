"""The pilot's design: its totals, its ranges, and the sizes that budgets share."""

from dataclasses import replace
from itertools import pairwise

import pytest

from fairseq_budget.budget.families import dimensions_of, family, find_encoder
from fairseq_budget.budget.machine import Machine
from fairseq_budget.budget.pilot import Pilot, PilotRun, design
from fairseq_budget.budget.pilot_grid import (
    MIN_UPDATES,
    Setting,
    excess,
)
from fairseq_budget.budget.presets import Preset, read_preset
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from tests.conftest import ROOT

PRESET = read_preset(ROOT / "examples/budget_tera_demo.yaml")
BUDGETS = [3e15, 1e17, 1.33e18]


def setting(preset: Preset = PRESET, **changes) -> Setting:
    shared = Setting(
        preset=preset, update_s=16.0, sequence_s=4.0, data_hours=1e9, max_tokens=256000
    )
    return replace(shared, **changes)


def encoders(names: list[str]) -> dict[str, EncoderConfig]:
    return {name: replace(PRESET.encoder, **dimensions_of(find_encoder(name))) for name in names}


def pilot(flops: float = 1e17, share: float = 0.1, **options) -> Pilot:
    sizes = encoders(options.pop("sizes", family("tiny")))
    shared = options.pop("setting", setting())
    given = {"num_budgets": 3, "seeds": [1], **options}
    return design(sizes, shared, flops=flops, share=share, **given)


def by_budget(runs: list[PilotRun]) -> dict[float, list[PilotRun]]:
    return {flops: [run for run in runs if run.flops == flops] for flops in {r.flops for r in runs}}


@pytest.mark.parametrize("flops", BUDGETS)
def test_all_runs_together_are_the_share_and_neighbouring_budgets_share_sizes(flops):
    found = pilot(flops)
    assert found.flops == pytest.approx(0.1 * flops)
    sizes = [{run.size for run in runs} for _, runs in sorted(by_budget(found.runs).items())]
    assert [len(each) for each in sizes] == [4, 4, 3]
    assert all(len(before & after) >= 2 for before, after in pairwise(sizes))


@pytest.mark.parametrize("flops", BUDGETS)
def test_sizes_of_a_budget_lie_on_both_sides_of_the_expected_best_and_grow_with_it(flops):
    found = pilot(flops)
    for budget, runs in by_budget(found.runs).items():
        if budget not in found.beyond:
            first, *_, last = (encoders([run.size])[run.size] for run in runs)
            assert excess(first, setting(), budget) > 0 > excess(last, setting(), budget)
    counts = [max(r.parameters for r in runs) for _, runs in sorted(by_budget(found.runs).items())]
    assert counts == sorted(counts)


def test_budgets_whose_best_size_none_of_those_is_are_told():
    sizes = ["tiny:0.25", "tiny:0.5", "tiny"]
    found = pilot(1.33e18, sizes=sizes)
    assert found.beyond
    assert {run.size for run in found.runs} == set(sizes)


def test_a_run_costs_its_budget_and_hears_what_it_buys():
    for run in pilot().runs:
        encoder = encoders([run.size])[run.size]
        per_second = setting().flops_per_second(encoder)
        assert run.audio_hours * 3600 * per_second == pytest.approx(run.flops)
        assert run.updates * 16.0 == pytest.approx(run.audio_hours * 3600, rel=0.5 / run.updates)
        assert run.repetitions == run.audio_hours / 1e9


def test_lines_set_what_the_runs_differ_in_and_share_the_batch():
    runs = pilot(seeds=[1, 2], share=0.2).runs
    words = [dict(word.split("=", 1) for word in run.overrides.split()) for run in runs]
    assert {each["dataset.max_tokens"] for each in words} == {"256000"}
    assert len({each["checkpoint.save_dir"] for each in words}) == len(runs)
    for run, each in zip(runs, words, strict=True):
        assert int(each["optimization.max_update"]) == run.updates
        assert float(each["task.budget_flops"]) == pytest.approx(run.flops, rel=1e-5)
        warmup = int(each["lr_scheduler.warmup_updates"])
        assert warmup == pytest.approx(0.1 * run.updates, abs=0.5)  # the preset's share
        assert run.updates // int(each["dataset.validate_interval_updates"]) in (10, 11)
        assert run.updates // int(each["common.log_interval"]) >= 100
        assert each["common.seed"] == str(run.seed)
        assert each["optimization.lr"] == f"[{run.lr:.4g}]"


def test_hours_are_at_the_speed_of_the_nearest_size_that_was_measured():
    fast, slow = (
        Measurement(size, "fp32", 4.0, 4.0, update_s=seconds, peak_bytes=0)
        for size, seconds in (("base", 0.1), ("tiny", 0.1))
    )
    machine = Machine(encoders={m.size: {"fp32": m} for m in (fast, slow)})
    for run in pilot(machine=machine).runs:
        assert run.hours == pytest.approx(run.flops / slow.flops_per_second / 3600)
    assert all(run.hours is None for run in pilot().runs)


@pytest.mark.parametrize("few", [1e12, 1e14])
def test_a_budget_of_few_updates_is_refused_and_its_two_cures_work(few):
    with pytest.raises(BudgetError, match=r"expected 100 at least") as refused:
        pilot(few)
    words = str(refused.value).replace(",", "").split()
    flops, seconds = float(words[words.index("give") + 1]), float(words[-3])
    assert min(run.updates for run in pilot(flops).runs) >= MIN_UPDATES
    smaller = setting(update_s=seconds, max_tokens=round(seconds * 16000))
    assert min(run.updates for run in pilot(few, setting=smaller).runs) >= MIN_UPDATES


def test_data_that_would_be_heard_too_often_are_refused_and_the_cures_work():
    with pytest.raises(BudgetError, match=r"10 hours of data .* expected 24.74 at most") as found:
        pilot(1e17, setting=setting(data_hours=10))
    words = str(found.value).split()
    enough = setting(data_hours=float(words[words.index("give") + 1]))
    most = max(run.repetitions for run in pilot(1e17, setting=enough).runs)
    assert most == pytest.approx(24.74, rel=0.02)
    assert pilot(1e17, setting=setting(data_hours=10, most_repetitions=1e6)).runs


def test_data_shorter_than_an_update_are_refused():
    with pytest.raises(BudgetError, match=r"10 s of data are less than an update of 16 s"):
        pilot(setting=setting(data_hours=10 / 3600, most_repetitions=1e9))


def test_two_sizes_are_no_valley():
    with pytest.raises(BudgetError, match="takes 3 sizes at least"):
        pilot(sizes=["tiny", "slim"])


def test_on_subsets_the_middle_size_is_trained_at_the_largest_budget_within_the_same_share():
    parts = [setting(data=f"/data/{hours:g}h", data_hours=hours) for hours in (1.0, 4.0)]
    whole, found = pilot(share=0.3), pilot(share=0.3, subsets=parts, seeds=[1, 2])
    assert found.flops == pytest.approx(0.3e17)
    repeated = [run for run in found.runs if "task.data=" in run.overrides]
    assert [run.seed for run in repeated] == [1, 2, 1, 2]
    assert [run.audio_hours / run.repetitions for run in repeated] == pytest.approx([1, 1, 4, 4])
    assert {run.flops for run in repeated} == {max(run.flops for run in found.runs)}
    largest = [run.size for run in whole.runs if run.flops == max(r.flops for r in whole.runs)]
    assert {run.size for run in repeated} == {largest[1]}
    assert all(run.overrides.endswith(" task.data=/data/1h") for run in repeated[:2])
    assert len({run.run for run in found.runs}) == len(found.runs)


def test_subsets_that_nobody_would_hear_often_are_refused_and_the_cure_works():
    large = setting(data="/data", data_hours=1e6)
    with pytest.raises(BudgetError, match=r"--subsets: tiny.* times, expected 4") as refused:
        pilot(share=0.2, subsets=[large])
    hours = float(str(refused.value).split(" hours or less")[0].split()[-1])
    assert pilot(share=0.2, subsets=[replace(large, data_hours=hours * 0.99)]).runs
