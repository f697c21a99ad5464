"""Recipes: how they are read, what is refused, and numbers that other commands print, too."""

import pytest

from fairseq_budget.budget.lengths import plan_length
from fairseq_budget.budget.machine import Machine, predict
from fairseq_budget.budget.memory import training_bytes
from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.budget.recipes import (
    Recipe,
    RecipeRow,
    compare,
    incomparable,
    make_recipe,
    parse_recipes,
    read_recipes,
)
from fairseq_budget.budget.timing import Measurement
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig


def row(flops: float = 1.33e18, **values) -> RecipeRow:
    options = {name: values.pop(name) for name in ("data_hours", "machine") if name in values}
    (found,) = compare({"a": make_recipe("a", values)}, flops=flops, **options)
    return found


@pytest.mark.parametrize("size", ["slim", "base", "zipformer_small"])
@pytest.mark.parametrize("objective", ["tera", "hubert"])
def test_numbers_are_those_of_params_updates_and_length(size, objective):
    found = row(size=size, objective=objective, gpus=2, batch_s=70.0, data_hours=960)
    planned = plan_updates(
        size, objective=objective, flops=1.33e18, gpus=2, seconds_per_gpu=70.0, sequence_s=14.0,
        hours=960,
    )  # fmt: skip
    assert found.parameters == count_parameters(size, objective).parameters == planned.parameters
    assert found.updates == planned.updates
    assert found.repetitions == planned.epochs
    assert found.gflops_per_audio_second == planned.gflops_per_audio_second
    length = plan_length(size, objective, length_s=14.0, batch=5)
    assert found.memory_gib == length.mixed_gib


def test_hours_are_those_of_updates_where_the_size_was_measured():
    measured = Measurement("slim", "fp32", 84.0, 14.0, update_s=0.5, peak_bytes=0)
    machine = Machine(encoders={"slim": {"fp32": measured}})
    planned = plan_updates(
        "slim", flops=1.33e18, gpus=2, seconds_per_gpu=84.0, sequence_s=14.0, hours=None
    )
    found = row(size="slim", gpus=2, batch_s=84.0, machine=machine)
    assert found.hours == pytest.approx(predict(machine, planned, 84.0).hours, rel=1e-5)


def test_hours_at_a_given_speed_are_shared_by_the_gpus():
    recipes = parse_recipes(["one:", "two:gpus=2"])
    one, two = compare(recipes, flops=3.6e18, flops_per_second=1e14)
    assert (one.hours, two.hours) == (10.0, 5.0)


def test_fewer_frames_and_shorter_sequences_cost_less():
    plain, half, short = (
        row(size="slim", **changes)
        for changes in ({}, {"subsample": "average"}, {"sequence_s": 5.0})
    )
    assert half.gflops_per_audio_second < plain.gflops_per_audio_second
    assert half.memory_gib < plain.memory_gib
    assert short.updates > plain.updates


def test_segments_alone_are_kept_behind_the_front_end():
    plain, half = (
        training_bytes(EncoderConfig(size="base", subsample=how), 0, 160_320, 1)
        for how in ("none", "average")
    )
    frontend = training_bytes(EncoderConfig(size="base", encoder_layers=0), 0, 160_320, 1)
    assert half - frontend == pytest.approx((plain - frontend) / 2, rel=0.05)


def test_what_is_typed_is_what_a_file_says(tmp_path):
    (tmp_path / "recipes.yaml").write_text(
        "a: {size: 'tiny:2', gpus: 2, subsample: conv, upsample: true}\nb: {objective: hubert}\n"
    )
    typed = parse_recipes(
        ["a:size=tiny:2,gpus=2,subsample=conv,upsample=true", "b:objective=hubert"]
    )
    assert read_recipes(tmp_path / "recipes.yaml") == typed
    assert typed["a"].config.encoder_layers == 4
    assert typed["a"].config.upsample is True


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slim", "recipe 'slim': expected NAME:key=value"),
        ("a:size", "recipe 'a:size': expected NAME:key=value"),
        ("a:sizes=slim", "recipe a: key 'sizes': .* did you mean size?"),
        ("a:size=slimm", "recipe a: size 'slimm': .* did you mean slim?"),
        ("a:sequence_s=0", "recipe a: a.sequence_s is 0.0, expected 0.025 to"),
        ("a:gpus=1.5", "recipe a: a.gpus is 1.5, expected a whole number"),
        ("a:objective=apc", "recipe a: objective 'apc': expected one of tera, hubert, wav2vec2"),
        ("a:optimizer=sgd", "recipe a: optimizer 'sgd': expected one of adam"),
        ("a:encoder_embed_dim=7", "recipe a: model.conv_pos_groups=16 does not divide"),
    ],
)
def test_a_recipe_that_is_none_is_told(text, complaint):
    with pytest.raises(BudgetError, match=complaint.replace("?", r"\?")):
        parse_recipes([text])


def test_a_part_that_cannot_be_built_is_told_with_its_recipe():
    with pytest.raises(BudgetError, match=r"recipe a: model.subsample='x': expected one of"):
        row(subsample="x")


def test_two_recipes_have_two_names():
    with pytest.raises(BudgetError, match="two recipes are named 'a'"):
        parse_recipes(["a:", "a:size=tiny"])


def test_a_budget_of_no_update_is_told_with_what_one_costs():
    with pytest.raises(
        BudgetError, match=r"recipe a: --flops 1e\+06 pays for no update: one costs"
    ):
        row(1e6)


def test_losses_are_compared_within_one_task_only():
    tera, hubert, short, deep = (
        Recipe(),
        Recipe(objective="hubert"),
        Recipe(sequence_s=5.0),
        Recipe(size="slim:2"),
    )
    assert "tera and hubert are of different kinds" in incomparable([tera, hubert])
    assert "different sequence_s are of different tasks" in incomparable([tera, short])
    assert incomparable([tera, deep]) is None
