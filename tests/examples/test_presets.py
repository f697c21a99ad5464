"""Every preset composes, names what exists, and agrees with the planner."""

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.budget.updates import plan_updates
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.masking import span_mask
from fairseq_budget.papers.compute_budget import PAPER_RUNS

pytestmark = pytest.mark.fairseq

EXAMPLES = Path(__file__).parents[2] / "examples"
PRESETS = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))

# What users commonly override must be there, so that no `+` is needed.
OVERRIDABLE = {
    "common": "user_dir fp16 bf16 cpu seed log_format log_file log_interval tensorboard_logdir",
    "checkpoint": "save_dir restore_file save_interval_updates",
    "optimization": "max_update max_epoch lr update_freq clip_norm stop_time_hours",
    "dataset": "max_tokens batch_size num_workers train_subset valid_subset",
    "task": "data user_dir max_sample_size min_sample_size",
    "distributed_training": "ddp_backend",
    "lr_scheduler": "warmup_updates",
    "model": "size encoder_layers",
}


def compose(preset: str, *overrides: str):
    """The config as fairseq-hydra-train sees it: composed, then filled with our defaults."""
    import hydra
    from fairseq.dataclass.initialize import add_defaults, hydra_init
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    import fairseq_budget.models.ctc
    import fairseq_budget.models.distilhubert
    import fairseq_budget.models.hubert
    import fairseq_budget.models.tera
    import fairseq_budget.models.transducer
    import fairseq_budget.models.wav2vec2
    import fairseq_budget.tasks.budget_finetuning
    import fairseq_budget.tasks.budget_pretraining  # noqa: F401

    GlobalHydra.instance().clear()
    hydra_init(preset)
    with hydra.initialize_config_dir(str(EXAMPLES), version_base="1.1"):
        cfg = hydra.compose(preset, overrides=["task.data=/data", *overrides])
    for group, keys in OVERRIDABLE.items():
        assert set(keys.split()) <= cfg[group].keys(), group
    masks = cfg.task if "mask_prob" in cfg.task else cfg.model  # recognisers mask for themselves
    assert {"mask_prob", "mask_length"} <= masks.keys()
    add_defaults(cfg)
    OmegaConf.to_container(cfg, resolve=True)
    return cfg


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("user_dir", ["+task.user_dir=x", "task.user_dir=x", "common.user_dir=x"])
def test_every_preset_composes_with_every_spelling_of_user_dir(preset, user_dir):
    assert compose(preset, user_dir).common.user_dir == "x"


@pytest.mark.parametrize("preset", PRESETS)
def test_names_are_ours_or_fairseqs_and_every_field_of_ours_is_listed(preset):
    import dataclasses

    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    cfg = compose(preset)
    yaml = (EXAMPLES / f"{preset}.yaml").read_text()
    for group, registry in (("task", TASK_DATACLASS_REGISTRY), ("model", MODEL_DATACLASS_REGISTRY)):
        fields = {f.name for f in dataclasses.fields(registry[cfg[group]._name])}
        text = yaml.split(f"\n{group}:")[1].split("\n\n")[0]
        listed = {line.split(":")[0].strip() for line in text.splitlines() if ":" in line}
        assert fields - {"seed", "max_update"} == listed


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_never_fix_a_world_size(preset):
    assert "world_size" not in (EXAMPLES / f"{preset}.yaml").read_text()


@pytest.mark.parametrize("preset", PRESETS)
def test_masks_of_1_s_hide_as_much_as_those_of_15_s_unless_they_are_made_equal(preset):
    cfg = compose(preset)
    masks = cfg.task if "mask_prob" in cfg.task else cfg.model
    assert masks.equal_masks == (preset.endswith("librispeech") and masks.mask_prob > 0)
    options = {"prob": masks.mask_prob, "length": masks.mask_length, "min_masks": 2}
    short, long = (
        np.array([
            span_mask(num_frames, **options, rng=np.random.default_rng(seed)).mean()
            for seed in range(300)
        ])
        for num_frames in (49, 749)
    )  # fmt: skip
    assert short.mean() == pytest.approx(long.mean(), abs=0.03)
    if masks.mask_prob:
        assert 0.15 < short.min() < short.max() < 0.9


def test_a_preset_takes_log_mel_frames():
    assert compose("budget_wav2vec2_demo", "model.frontend=logmel").model.frontend == "logmel"


def test_updates_and_learning_rate_of_the_librispeech_preset_are_the_planners():
    cfg = compose("budget_tera_librispeech")
    row = plan_updates(
        cfg.model.size, flops=1.33e18, gpus=2, seconds_per_gpu=78.03, sequence_s=14.0, hours=960
    )
    assert cfg.optimization.max_update == pytest.approx(row.updates, rel=0.002)
    assert list(cfg.optimization.lr) == [PAPER_RUNS[cfg.model.size].lr["tera"]]


ZIPFORMER = "budget_hubert_zipformer_librispeech"
PAGE = (EXAMPLES.parent / "docs/papers/k2ssl.md").read_text()


def table_1_rows(preset: str = ZIPFORMER) -> list[tuple[str, list[str]]]:
    """Rows of k2SSL's Table I: what the preset's comments say of each, and the overrides."""
    rows: list[tuple[str, list[str]]] = []
    for line in (EXAMPLES / f"{preset}.yaml").read_text().split("\n# Run it")[0].splitlines():
        words = line.removeprefix("#").split()
        if words[:1] and words[0] in ("Transformer", "Zipformer"):
            rows.append((line, []))
        elif line.startswith("#   ") and all("=" in word and "." in word for word in words):
            rows[-1][1].extend(words)
    return rows


def is_on_the_page(overrides: list[str], parameters: int) -> bool:
    """Whether docs/papers/k2ssl.md has a row of these overrides with this total."""
    shown = f"| `{' '.join(overrides)}` |" if overrides else "| none |"
    return any(shown in row and f"| {parameters:,} |" in row for row in PAGE.splitlines())


@pytest.mark.parametrize(
    ("row", "parameters"),
    [(0, 94_697_600), (1, 94_759_288), (2, 94_561_917), (3, 305_938_464)],
)
def test_every_row_of_k2ssls_table_is_the_preset_and_overrides(row, parameters):
    text, overrides = table_1_rows()[row]
    cfg = compose(ZIPFORMER, *overrides)
    counted = count_parameters(cfg.model.size, "hubert", head=cfg.model.head).parameters
    assert counted == parameters
    assert is_on_the_page(overrides, parameters)
    assert f"({parameters / 1e6:.1f} M" in text
    seconds = cfg.dataset.max_tokens / 16000
    assert f"x {seconds:g} s" in text
    assert f"{cfg.optimization.max_update:,} updates" in text
    assert cfg.optimizer._name == "budget_scaled_adam"
    EncoderConfig.from_dict(dict(cfg.model)).resolved()


TRANSDUCER, CTC = "budget_transducer_librispeech", "budget_ctc_librispeech"
FINE_TUNED = [
    (TRANSDUCER, 0, "base", "cosine", 0.001),
    (TRANSDUCER, 1, "base", "linear", 0.00075),
    (TRANSDUCER, 2, "zipformer_base", "linear", 0.002),
    (TRANSDUCER, 3, "zipformer_large", "linear", 0.002),
    (CTC, 0, "zipformer_base", "linear", 0.001),
]


@pytest.mark.parametrize(("preset", "row", "size", "head", "lr"), FINE_TUNED)
def test_every_fine_tuning_of_k2ssls_table_is_a_preset_and_overrides(preset, row, size, head, lr):
    import torch
    from fairseq.models import MODEL_REGISTRY

    text, overrides = table_1_rows(preset)[row]
    cfg = compose(preset, *overrides, f"model.size={size}", "model.pretrained=null")
    assert list(cfg.optimization.lr) == [lr]
    assert f"8 x {cfg.dataset.max_tokens / 16000:g} s" in text
    assert (cfg.optimizer._name, cfg.lr_scheduler._name) == ("budget_scaled_adam", "budget_eden")
    with torch.device("meta"):
        model = MODEL_REGISTRY[cfg.model._name](cfg.model, 501 if preset == TRANSDUCER else 32)
    counted = sum(p.numel() for p in model.parameters())
    # the recipe keeps the layer of pre-training, and counts it
    counted += count_parameters(size, "hubert", head=head).head
    assert f"({counted / 1e6:.1f} M" in text
    assert is_on_the_page(overrides, counted)


def test_examples_readme_has_a_row_for_every_preset():
    text = (EXAMPLES / "README.md").read_text()
    assert [preset for preset in PRESETS if f"`{preset}`" not in text] == []
