"""How fast: the encoder alone, and whole updates beside those of fairseq's own HuBERT."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from fairseq_budget.budget.flops import training_flops_per_second
from gpu_checks.corpus import corpus
from gpu_checks.registry import Options, Row, check, sizes, still
from gpu_checks.training import compose, make_trainer, open_task

STOCK_SIZES = (
    "encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads",
    "final_dim", "conv_pos",
)  # fmt: skip
STOCK_FIELDS = (
    "feature_grad_mult", "dropout", "attention_dropout", "dropout_input", "encoder_layerdrop"
)  # fmt: skip


@check("peak", limit_s=20)
def peaks(options: Options) -> Iterator[Row]:
    for precision in options.precisions:
        flops = peak_flops(options, precision)
        yield {"precision": precision, "TFLOP/s": flops / 1e12}


def peak_flops(options: Options, precision: str) -> float:
    from fairseq_budget.budget.timing import measure_peak_flops

    return measure_peak_flops(precision, device=options.device, seconds=0.2)


@check("encoder times", limit_s=60)
def encoder_times(options: Options) -> Iterator[Row]:
    """Without fairseq, too; whole updates: see `times`."""
    from fairseq_budget.budget.timing import measure_encoder

    seconds, sequence_s = (2.0, 1.0) if options.small else (84.0, 14.0)
    for precision in options.precisions:
        peak = peak_flops(options, precision)
        for size in sizes(options)[-2:]:
            empty_cache(options)
            found = measure_encoder(
                size, precision, device=options.device, seconds=seconds, sequence_s=sequence_s
            )
            yield {
                "encoder": size,
                "precision": precision,
                "ms per update": 1000 * found.update_s,
                "share of peak": found.flops_per_second / peak,
                "peak memory (GiB)": found.peak_bytes / 2**30,
            }


STOCK = "fairseq's HuBERT"
PRESETS = {
    STOCK: "budget_hubert_iter2_librispeech",
    "HuBERT": "budget_hubert_iter2_librispeech",
    "TERA": "budget_tera_librispeech",
    "wav2vec 2.0": "budget_wav2vec2_librispeech",
    "HuBERT, Zipformer": "budget_hubert_zipformer_librispeech",
}


@check("times of updates", limit_s=100)
def times(options: Options) -> Iterator[Row]:
    """Whole updates of fairseq's trainer, beginning with the batch on the host."""
    precision = options.precisions[-1]
    peak = peak_flops(options, precision)
    transformers = ("tiny",) if options.small else ("base", "slim")
    zipformers = ("zipformer_tiny" if options.small else "zipformer_base",)
    for objective in PRESETS:
        for size in zipformers if "Zipformer" in objective else transformers:
            yield _timed(objective, size, precision, peak, options)


def _timed(objective: str, size: str, precision: str, peak: float, options: Options) -> Row:
    seconds, count = (1.0, 2) if options.small else (14.0, 6)
    limit = round(16000 * seconds)
    values = {
        "task.data": str(corpus(options, seconds, count)),
        "task.max_sample_size": limit,
        "task.min_sample_size": 0,
        "dataset.max_tokens": limit * count,
        "model.size": size,
    }
    empty_cache(options)
    cfg = compose(PRESETS[objective], options, options.device, precision, **values)
    trainer, batch = (stock_trainer if objective == STOCK else make_trainer)(cfg)
    timed = []
    for _ in range(2 if options.small else 7):
        started = _clock(options)
        trainer.train_step([batch])
        timed.append(_clock(options) - started)
    audio = seconds * len(batch["id"])
    flops = training_flops_per_second(still(size), seconds) * audio / min(timed)
    return {
        "objective": objective,
        "size": size,
        "precision": precision,
        "audio (s)": audio,
        "ms per update": 1000 * min(timed),
        "TFLOP/s": flops / 1e12,
        "share of peak": flops / peak,
        "memory (GiB)": _memory(options),
    }


def empty_cache(options: Options) -> None:
    """Give back what is held no more, and count the peak of memory from here."""
    gc.collect()  # trainers, tasks and models hold one another
    if options.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _memory(options: Options) -> float | None:
    """What torch has taken of the GPU's; its peak is of no use, for fairseq resets that."""
    return None if options.device == "cpu" else torch.cuda.memory_reserved() / 2**30


def _clock(options: Options) -> float:
    if options.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def stock_trainer(cfg: Any) -> tuple[Any, Any]:
    """fairseq's trainer of its own HuBERT on the very batch that ours has."""
    from fairseq.trainer import Trainer

    task, batch = open_task(cfg)
    return Trainer(cfg, *stock_hubert(task, cfg)), stock_batch(batch)


def stock_hubert(task: Any, cfg: Any) -> tuple[Any, Any, Any]:
    """fairseq's own task, model and criterion, in the dimensions and with the training of `cfg`."""
    from fairseq.criterions.hubert_criterion import HubertCriterion
    from fairseq.data import Dictionary
    from fairseq.models.hubert.hubert import HubertConfig, HubertModel
    from fairseq.tasks import FairseqTask
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

    dictionary = Dictionary()
    for cluster in range(task.num_classes() - len(dictionary)):
        dictionary.add_symbol(str(cluster))
    sizes, model = asdict(still(cfg.model.size).resolved()), cfg.model
    conv = sizes["conv_dim"]
    same = {name: sizes[name] for name in STOCK_SIZES} | {
        name: model[name] for name in STOCK_FIELDS
    }
    config = HubertConfig(
        label_rate=50,
        mask_prob=cfg.task.mask_prob,
        mask_length=cfg.task.mask_length,
        conv_feature_layers=f"[({conv},10,5)] + [({conv},3,2)] * 4 + [({conv},2,2)] * 2",
        **same,
    )
    stock = FairseqTask(cfg.task)
    criterion = HubertCriterion(stock, 1.0, 0.0, [10.0], [])
    return stock, HubertModel(config, HubertPretrainingConfig(data=""), [dictionary]), criterion


def stock_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of ours as fairseq's HuBERT takes it, which draws its masks itself."""
    from fairseq_budget.data.audio_dataset import wave_from_bits

    source = wave_from_bits(batch["net_input"]["source"])
    padding = torch.zeros_like(source, dtype=torch.bool)  # which it cannot mask without
    return {
        "id": batch["id"],
        "net_input": {"source": source, "padding_mask": padding},
        "target_list": batch["net_input"]["labels"],
    }
