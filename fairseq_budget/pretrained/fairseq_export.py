"""Our encoders as HuBERT and wav2vec 2.0 checkpoints of stock fairseq, which it loads alone.

Plain containers only, so that fairseq reads them under torch's ``weights_only``, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import CONV_GEOMETRY, FRAME_RATE_HZ, SAMPLE_RATE
from fairseq_budget.nn.heads import classes_of
from fairseq_budget.pretrained.fairseq_checkpoint import HEADS, PROJECTION, QUANTIZER
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.vocabulary import SPECIAL_SYMBOLS
from fairseq_budget.pretrained.weights import require_convolutions, require_plain

FAIRSEQ_FILE = "model.pt"
FIELDS = (  # of encoders, in fairseq's models too
    *("extractor_mode", "conv_bias", "conv_pos", "conv_pos_groups", "layer_norm_first"),
    *("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads"),
    *("dropout", "attention_dropout", "activation_dropout", "dropout_input", "encoder_layerdrop"),
    *("final_dim", "feature_grad_mult"),
)

MASKS = {  # fairseq's defaults; its fine-tuning overrides only what a checkpoint has
    **{"mask_prob": 0.65, "mask_length": 10, "mask_selection": "static", "mask_other": 0.0},
    **{"mask_channel_prob": 0.0, "mask_channel_length": 10, "mask_channel_selection": "static"},
    **{"mask_channel_other": 0.0, "no_mask_overlap": False, "no_mask_channel_overlap": False},
}


def save_fairseq(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write ``model.pt``: wav2vec 2.0 where the heads are its, else HuBERT.

    HuBERT's own head comes along where it has label embeddings. Other models get none, a
    ``final_proj`` of zeros, and where they hide nothing a ``mask_emb`` of zeros: fairseq's classes
    have both. Raises BudgetError for what fairseq has no such model of, with the reason.
    """
    encoder = checkpoint.encoder.resolved()
    require_plain(encoder, "fairseq")
    require_convolutions(encoder, "fairseq")
    if not encoder.feature_layer_norm:
        raise BudgetError(
            "feature_layer_norm=false: fairseq's HuBERT and wav2vec 2.0 have a LayerNorm before "
            "the projection; export to transformers, whose Hubert may do without, or without --to"
        )
    weights = checkpoint.build_encoder().state_dict()
    weights.setdefault("mask_emb", torch.zeros(encoder.encoder_embed_dim))
    is_wav2vec2 = checkpoint.model == "budget_wav2vec2" and QUANTIZER[0] in checkpoint.state
    part = _wav2vec2(checkpoint) if is_wav2vec2 else _hubert(checkpoint)
    model = {
        "conv_feature_layers": str([(encoder.conv_dim, *layer) for layer in CONV_GEOMETRY]),
        "logit_temp": checkpoint.model_config.get("logit_temp", 0.1),
        **{name: getattr(encoder, name) for name in FIELDS},
        **MASKS,
        **part.model,
    }
    task = {"data": ".", "sample_rate": SAMPLE_RATE, "normalize": encoder.normalize, **part.task}
    content = {
        "cfg": {"model": model, "task": task},
        "model": weights | part.head,
        "task_state": part.task_state,
        "optimizer_history": [{"optimizer_name": None, "lr_scheduler_state": {}}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
    }
    with atomic_write(Path(folder) / FAIRSEQ_FILE, "wb") as file:
        torch.save(content, file)


@dataclass
class _Part:
    """What is HuBERT's or wav2vec 2.0's own of a checkpoint."""

    model: dict[str, Any]
    task: dict[str, Any]
    head: dict[str, Tensor]
    task_state: dict[str, Any] = field(default_factory=dict)


def _wav2vec2(checkpoint: Pretrained) -> _Part:
    head = _head("wav2vec2", checkpoint)
    codes, vq_dim = head["quantizer.vars"], head["project_q.weight"].shape[1]
    groups = vq_dim // codes.shape[2]
    quantizer = {"latent_vars": codes.shape[1] // groups, "latent_groups": groups}
    return _Part(
        {"_name": "wav2vec2", "quantize_targets": True, "latent_dim": vq_dim, **quantizer},
        {"_name": "audio_pretraining", "tpu": False},
        head,
    )


def _hubert(checkpoint: Pretrained) -> _Part:
    config, head = checkpoint.encoder.resolved(), _head("hubert", checkpoint)
    num_labels = len(head.get("label_embs_concat", ()))
    sizes = classes_of(checkpoint.model_config.get("num_classes") or num_labels)
    dictionaries: list[Any] = [_symbols(size) for size in sizes]
    whole = len(sizes) * config.final_dim == len(head.get(PROJECTION[0], ()))
    if not (num_labels and whole and num_labels == sum(sizes)):
        shapes = (config.final_dim, config.encoder_embed_dim), (config.final_dim,)
        head = dict(zip(PROJECTION, map(torch.zeros, shapes), strict=True))
        dictionaries = [None]  # fairseq's word for a model to fine-tune
    return _Part(
        {"_name": "hubert", "label_rate": FRAME_RATE_HZ, "untie_final_proj": True},
        {"_name": "hubert_pretraining", "labels": ["km"] * len(sizes)},
        head,
        {"dictionaries": dictionaries},
    )


def _head(kind: str, checkpoint: Pretrained) -> dict[str, Tensor]:
    state = checkpoint.state
    return {name: state[ours].float() for name, ours in HEADS[kind].items() if ours in state}


def _symbols(num_classes: int) -> list[str]:
    """A dictionary of clusters, as a list: fairseq's would be an object in the file."""
    return [*SPECIAL_SYMBOLS, *map(str, range(num_classes - len(SPECIAL_SYMBOLS)))]
