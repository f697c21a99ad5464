"""Two updates of every preset by fairseq's trainer, on the device beside the CPU."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpu_checks.corpus import corpus, pretrained
from gpu_checks.registry import Options, Row, check, compared

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted(path.stem for path in (ROOT / "examples").glob("*.yaml"))

# Losses of two updates, beside the CPU's. Where chance is drawn on the device they are of a kind.
ALLOWED = {"fp32": 0.02, "fp16": 0.04, "bf16": 0.08}
ALLOWED_BY_CHANCE = 0.25
WITHOUT_CHANCE = (
    "dropout", "attention_dropout", "activation_dropout", "dropout_input", "encoder_layerdrop",
    "zipformer_dropout", "dropout_features", "final_dropout",
)  # fmt: skip


def compose(preset: str, options: Options, device: str, precision: str, **values: Any) -> Any:
    """The config of fairseq-hydra-train for a preset, on one device; `values` override it."""
    import hydra
    from fairseq.dataclass.initialize import add_defaults, hydra_init
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf, open_dict

    for part in ("tasks", "models"):  # which registers them, as fairseq does for a user_dir
        package = importlib.import_module(f"fairseq_budget.{part}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    GlobalHydra.instance().clear()
    hydra_init(preset)
    with hydra.initialize_config_dir(str(ROOT / "examples"), version_base="1.1"):
        cfg = hydra.compose(preset, overrides=["task.data=/data"])
    add_defaults(cfg)
    values = {
        "task.data": str(corpus(options)),
        "common.cpu": device == "cpu",
        "common.fp16": precision == "fp16",
        "common.bf16": precision == "bf16",
        "common.fp16_no_flatten_grads": cfg.optimizer._name == "budget_scaled_adam",
        "distributed_training.distributed_world_size": 1,
        "checkpoint.save_dir": str(options.folder),  # where fairseq saves after an error
        "dataset.num_workers": 0,
        **_fitting_model(cfg.model, options),
        **values,
    }
    with open_dict(cfg):
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
    return OmegaConf.create(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))


def _fitting_model(model: Any, options: Options) -> dict[str, Any]:
    """Sizes for a small run, and what presets leave open: teacher and pre-trained encoder."""
    values: dict[str, Any] = {}
    size = model.size
    if options.small:
        size = values["model.size"] = "zipformer_tiny" if "zipformer" in size else "tiny"
    if "teacher_layers" in model:
        values["model.teacher"] = str(pretrained(options, size))
        values["model.teacher_layers"] = [1, 2, 3] if size == "tiny" else [4, 8, 12]
    if "freeze_updates" in model:
        values |= {"model.pretrained": None, "model.freeze_updates": 0}
    return values


def open_task(cfg: Any) -> tuple[Any, Any]:
    """The task of a config, and the first batch of its first epoch; for a run from the start."""
    from fairseq import tasks
    from fairseq.logging import metrics

    metrics.reset()  # or the run would go on with the counts of the one before
    torch.manual_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    task.load_dataset("train")
    limits = {"max_tokens": cfg.dataset.max_tokens, "max_sentences": cfg.dataset.batch_size}
    return task, next(task.get_batch_iterator(task.dataset("train"), **limits).next_epoch_itr())


def make_trainer(cfg: Any) -> tuple[Any, Any]:
    """fairseq's trainer at the beginning of epoch 1, and the epoch's first batch."""
    from fairseq.trainer import Trainer

    task, batch = open_task(cfg)
    model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
    trainer = Trainer(cfg, task, model, criterion)
    trainer.begin_epoch(1)
    return trainer, batch


def losses(cfg: Any) -> list[float]:
    """The losses of two updates on one batch; a third and more where float16 overflows at first."""
    trainer, batch = make_trainer(cfg)
    found: list[float] = []
    for _ in range(12):
        log = trainer.train_step([batch])
        if log is not None:
            found.append(float(log["loss"]))
        if trainer.get_num_updates() == 2:
            return found[-2:]
    raise FloatingPointError(f"{trainer.get_num_updates()} updates in 12: the others overflowed")


def updates_beside_the_cpus(
    preset: str, options: Options, case: str = "", **values: Any
) -> Iterator[Row]:
    def cfg(device: str, precision: str) -> Any:
        cfg = compose(preset, options, device, precision, **values)
        for name in set(WITHOUT_CHANCE) & cfg.model.keys():
            cfg.model[name] = 0.0
        if "total_num_update" in cfg.lr_scheduler:
            cfg.lr_scheduler.warmup_updates = 0  # or the first update has a rate of 0
        return cfg

    reference = cfg("cpu", "fp32")
    chance = "zipformer" in reference.model.size or reference.model._name == "budget_wav2vec2"
    expected = losses(reference)
    for precision in options.precisions:
        found = losses(cfg(options.device, precision))
        allowed = ALLOWED_BY_CHANCE if chance else ALLOWED[precision]
        for update, pair in enumerate(zip(found, expected, strict=True), 1):
            yield compared(f"{case}{precision}, update {update}", *pair, allowed)


@check("padded and cropped batches")
def batches(options: Options) -> Iterator[Row]:
    for pad in (True, False):
        values = {"task.pad_audio": pad, "task.max_sample_size": 36000}
        case = "padded, " if pad else "cropped, "
        yield from updates_beside_the_cpus("budget_hubert_demo", options, case, **values)


for _preset in sorted(PRESETS, key=lambda preset: "librispeech" in preset):
    check(_preset)(functools.partial(updates_beside_the_cpus, _preset))
