"""Recipes side by side at one budget: what each holds, hears, needs, and takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from fairseq_budget.budget.families import dimensions_of, find_encoder
from fairseq_budget.budget.flops import training_flops_per_second, updates_for_budget
from fairseq_budget.budget.lengths import PRECISION
from fairseq_budget.budget.machine import Machine, training_hours
from fairseq_budget.budget.memory import training_bytes
from fairseq_budget.budget.objectives import Heads
from fairseq_budget.budget.parameters import count_parts
from fairseq_budget.console.table import column
from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.files import reading
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.compute_budget import NUM_CLASSES
from fairseq_budget.structured import Range, conform, parse_word, read_yaml

Seconds = Annotated[float, Range(RECEPTIVE_FIELD / SAMPLE_RATE, 86_400)]
Number = Annotated[int, Range(1, 1_000_000)]

OPTIMIZERS = ("adam", "budget_scaled_adam")
"""Which hold as much for a parameter; they differ in losses, not in costs."""

SYNTAX = "NAME:key=value,key=value, such as short:size=slim,sequence_s=5"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and in which batches; fields are the keys of a recipe.

    ``size`` is a name, or one of its family; ``encoder`` holds the encoder's own fields, which are
    keys, too. A GPU holds ``batch_s`` seconds of audio at a time. ``forecast`` is a file that says
    what loss such a run ends with.
    """

    objective: str = "tera"
    size: str = "slim"
    head: str = "cosine"
    num_classes: Number = NUM_CLASSES
    optimizer: str = "adam"
    sequence_s: Seconds = 14.0
    batch_s: Seconds = 87.5
    update_freq: Number = 1
    gpus: Number = 1
    forecast: str | None = None
    encoder: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> EncoderConfig:
        """The encoder; its fields replace the size's."""
        return EncoderConfig(**{**dimensions_of(find_encoder(self.size)), **self.encoder})

    @property
    def heads(self) -> Heads:
        """The objective's."""
        return Heads(self.objective, self.head, self.num_classes)

    def check(self) -> None:
        """Raise BudgetError for what none can have, without building it."""
        if self.optimizer not in OPTIMIZERS:
            raise BudgetError(
                f"optimizer {self.optimizer!r}: {expected_one_of(self.optimizer, OPTIMIZERS)}"
            )
        self.config.resolved()
        _ = self.heads  # it knows its objectives


OWN_KEYS = [each.name for each in fields(Recipe) if each.name != "encoder"]
ENCODER_KEYS = [each.name for each in fields(EncoderConfig) if each.name != "size"]


@dataclass(frozen=True, kw_only=True)
class RecipeRow:
    """A recipe at a budget; memory is the closed form's in mixed precision, on each GPU.

    `loss`, and what 80 % of such runs lie between, stand where the recipe has a forecast.
    """

    recipe: str
    objective: str
    size: str
    optimizer: str
    parameters: int
    gflops_per_audio_second: float = column("GFLOP/s of audio")
    updates: int
    audio_hours: float = column("hours of audio", digits=1)
    repetitions: float | None = column("of the data", digits=2, optional=True)
    memory_gib: float = column("GiB per GPU", digits=2)
    hours: float | None = column(digits=2)
    loss: float | None = column("expected loss", default=None, optional=True)
    low: float | None = column("80 % low", default=None, optional=True)
    high: float | None = column("80 % high", default=None, optional=True)


def read_recipes(path: Path) -> dict[str, Recipe]:
    """Recipes of a yaml or JSON file, ``{name: {key: value}}``; BudgetError for what is none."""
    with reading(path, "expected recipes, {name: {key: value}}, in yaml or JSON"):
        content = read_yaml(path, dict[str, dict[str, Any]])
    return {str(name): make_recipe(str(name), values) for name, values in content.items()}


def parse_recipes(texts: Iterable[str]) -> dict[str, Recipe]:
    """Recipes as they are typed, ``NAME:key=value,...``; BudgetError for what is none."""
    recipes: dict[str, Recipe] = {}
    for text in texts:
        name, colon, settings = text.partition(":")
        pairs = [setting.partition("=") for setting in settings.split(",") if setting]
        if not (name and colon) or not all(key and equals for key, equals, _ in pairs):
            raise BudgetError(f"recipe {text!r}: expected {SYNTAX}")
        if name in recipes:
            raise BudgetError(f"two recipes are named {name!r}: give each a name of its own")
        recipes[name] = make_recipe(name, {key: parse_word(value) for key, _, value in pairs})
    return recipes


def make_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """A recipe of its keys; BudgetError for an unknown one, and for a value that none can have."""
    for key in values:
        if key not in OWN_KEYS and key not in ENCODER_KEYS:
            known = [*OWN_KEYS, *ENCODER_KEYS]
            raise BudgetError(f"recipe {name}: key {key!r}: {expected_one_of(key, known)}")
    own = {key: value for key, value in values.items() if key in OWN_KEYS}
    encoder = {key: value for key, value in values.items() if key in ENCODER_KEYS}
    try:
        recipe: Recipe = conform({**own, "encoder": encoder}, Recipe, name)
        recipe.check()
    except ValueError as error:
        raise BudgetError(f"recipe {name}: {error}") from error
    return recipe


def compare(
    recipes: Mapping[str, Recipe],
    *,
    flops: float,
    data_hours: float | None = None,
    machine: Machine | None = None,
    flops_per_second: float | None = None,
) -> list[RecipeRow]:
    """A row for each recipe at a budget.

    Hours are at ``flops_per_second`` of one GPU, if given, or at the speed of the nearest size that
    was measured on the machine.
    """
    rows = []
    for name, recipe in recipes.items():
        try:
            rows.append(_row(name, recipe, flops, machine))
        except BudgetError as error:  # of a part that is built, which knows no recipe
            raise BudgetError(f"recipe {name}: {error}") from error
    if data_hours:
        rows = [replace(row, repetitions=row.audio_hours / data_hours) for row in rows]
    if flops_per_second:
        speeds = [flops_per_second * recipe.gpus for recipe in recipes.values()]
        rows = [replace(r, hours=flops / s / 3600) for r, s in zip(rows, speeds, strict=True)]
    return rows


def incomparable(recipes: Sequence[Recipe]) -> str | None:
    """What the losses of these recipes do not say, in a line; None where they may be compared."""
    objectives = list(dict.fromkeys(recipe.objective for recipe in recipes))
    if len(objectives) > 1:
        return (
            f"losses of {' and '.join(objectives)} are of different kinds, and none says which is "
            "better: compare downstream scores"
        )
    differing = [
        key for key, values in _loss_keys(recipes).items() if any(v != values[0] for v in values)
    ]
    if differing:
        return (
            f"losses at different {', '.join(differing)} are of different tasks: compare "
            "downstream scores"
        )
    return None


def _loss_keys(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """What a loss of one objective depends on beside how good a model is."""
    configs = [recipe.config for recipe in recipes]
    return {
        "head": [recipe.head for recipe in recipes],
        "num_classes": [recipe.num_classes for recipe in recipes],
        "sequence_s": [recipe.sequence_s for recipe in recipes],
        "subsample": [config.subsample for config in configs],
        "subsample_rate": [config.subsample_rate for config in configs],
    }


def _row(name: str, recipe: Recipe, flops: float, machine: Machine | None) -> RecipeRow:
    config, sequence_s = recipe.config, recipe.sequence_s
    parameters = sum(count_parts(config, recipe.heads))
    per_second = training_flops_per_second(config, sequence_s)
    update_s = recipe.gpus * recipe.batch_s * recipe.update_freq
    updates = updates_for_budget(config, flops, seconds_per_update=update_s, sequence_s=sequence_s)
    if not updates:
        raise BudgetError(
            f"--flops {flops:g} pays for no update: one costs {per_second * update_s:.2g} FLOPs; "
            "give that or more, or fewer batch_s"
        )
    batch = max(1, int(recipe.batch_s / sequence_s))
    held = training_bytes(
        config, parameters, round(sequence_s * SAMPLE_RATE), batch, precision=PRECISION
    )
    return RecipeRow(
        recipe=name,
        objective=recipe.objective,
        size=recipe.size,
        optimizer=recipe.optimizer,
        parameters=parameters,
        gflops_per_audio_second=per_second / 1e9,
        updates=updates,
        audio_hours=updates * update_s / 3600,
        repetitions=None,
        memory_gib=held / 2**30,
        hours=training_hours(machine, config, flops, sequence_s, recipe.gpus),
    )
