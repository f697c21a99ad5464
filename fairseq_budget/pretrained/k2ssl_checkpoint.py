"""k2SSL's Zipformer checkpoints (HuBERT with cross-entropy) as ours, and back.

Encoder keys are the same in both; only prefixes differ. Sizes are read off the weights, nothing
in the file is executed (see inert.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.pretrained.inert import load_inert
from fairseq_budget.pretrained.portable import ENCODER_PREFIX, Pretrained
from fairseq_budget.run.recovery import are_tensors
from fairseq_budget.sizes import ZIPFORMER_SIZES, ZipformerSize

HEAD_PREFIX = "head."
FINE_TUNED_PREFIX = "encoder."  # their recognisers hold the whole pre-trained model here
_HEAD = "final_proj."


def import_k2ssl(path: str | Path, *, normalize: bool = False) -> Pretrained:
    """A k2SSL checkpoint as a portable one; ``normalize``: it was trained on normalised waveforms.

    Of k2SSL's models Large was, Base was not; their files do not tell. Raises BudgetError as
    `read_k2ssl` does, and for dimensions that no size here has.
    """
    path = Path(path)
    dimensions, state = read_k2ssl(path)
    names = [name for name, size in ZIPFORMER_SIZES.items() if size == dimensions]
    if not names:
        raise BudgetError(
            f"{path} has {dimensions}: expected the dimensions of {', '.join(ZIPFORMER_SIZES)}"
        )
    norms = f"{ENCODER_PREFIX}feature_extractor.conv_layers.1.2.1.weight" in state
    mode = "layer_norm" if norms else "default"
    return Pretrained(
        "budget_hubert",
        EncoderConfig(size=names[0], extractor_mode=mode, normalize=normalize),
        {"head": "linear", "logit_temp": 0.1},
        state,
        {"imported_from": path.name, "checkpoint_sha256": sha256_file(path)},
    )


def export_k2ssl(path: str | Path, checkpoint: Pretrained) -> None:
    """Write a HuBERT model with a Zipformer as k2SSL's recipes read it; BudgetError for others."""
    config = checkpoint.encoder.resolved()
    if (
        checkpoint.model != "budget_hubert"
        or config.zipformer is None
        or config.subsample != "none"
        or config.frontend != "conv"
    ):
        raise BudgetError(
            f"{checkpoint.model} of size {config.size}, subsample={config.subsample}, "
            f"frontend={config.frontend}: k2SSL reads budget_hubert with a zipformer size, "
            "convolutions and no subsampling"
        )
    write_k2ssl(path, checkpoint.state)


def read_k2ssl(path: str | Path) -> tuple[ZipformerSize, dict[str, Tensor]]:
    """Size and weights, under our names, of a k2SSL checkpoint (pre-trained or fine-tuned).

    Raises BudgetError when the file is missing, unreadable, or no such checkpoint.
    """
    checkpoint = load_inert(Path(path))
    weights = checkpoint.get("model", checkpoint)
    try:
        state = from_k2ssl(weights)
        if not are_tensors(state):
            raise TypeError("weights that are no tensors")
        return zipformer_size(state), state
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BudgetError(
            f"{path} is no HuBERT Zipformer checkpoint of k2SSL ({error!r}): expected one of its "
            "pre-trained models, or of its recognisers"
        ) from error


def write_k2ssl(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write our weights as a checkpoint that k2SSL's recipes read (``{"model": weights}``)."""
    with atomic_write(Path(path), "wb") as file:
        torch.save({"model": to_k2ssl(state)}, file)


def from_k2ssl(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names for k2SSL's weights; what a recogniser has besides the encoder is left out."""
    if any(name.startswith(FINE_TUNED_PREFIX + "feature_extractor.") for name in weights):
        weights = {
            name.removeprefix(FINE_TUNED_PREFIX): value
            for name, value in weights.items()
            if name.startswith(FINE_TUNED_PREFIX)
        }
    return {
        (HEAD_PREFIX if name.startswith(_HEAD) else ENCODER_PREFIX) + name: value
        for name, value in weights.items()
    }


def to_k2ssl(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """k2SSL's names for our weights of a HuBERT model with the linear head."""
    if any(name.endswith("label_embs_concat") for name in state):
        raise BudgetError(
            "k2SSL's HuBERT has no label embeddings: only models trained with model.head=linear "
            "can be exported"
        )
    return {
        name.removeprefix(HEAD_PREFIX if name.startswith(HEAD_PREFIX) else ENCODER_PREFIX): value
        for name, value in state.items()
    }


def zipformer_size(state: Mapping[str, Tensor]) -> ZipformerSize:
    """The dimensions of a Zipformer, from the shapes of its weights under our names.

    Shapes do not tell the heads' value width, taken to be k2SSL's 12, nor what training's feature
    mask spares: known sizes bring it, others get 256.
    """
    weights = {name.removeprefix(ENCODER_PREFIX): value for name, value in state.items()}
    prefixes = _stack_prefixes(weights)
    stacks = [_stack_dims(weights, prefix) for prefix in prefixes]
    per_stack: dict[str, Any] = {n: tuple(stack[n] for stack in stacks) for n in stacks[0]}
    heads = stacks[0]["encoder_attention_heads"]
    attention = f"{prefixes[0]}layers.0.self_attn_weights."
    positions = weights[f"{attention}linear_pos.weight"]  # (H P, pos_dim)
    pos_head_dim = len(positions) // heads
    size = ZipformerSize(
        unmasked_dim=tuple(min(256, stack["encoder_embed_dim"]) for stack in stacks),
        **per_stack,
        query_head_dim=(len(weights[f"{attention}in_proj.bias"]) // heads - pos_head_dim) // 2,
        pos_head_dim=pos_head_dim,
        pos_dim=positions.shape[1],
        conv_dim=len(weights["layer_norm.weight"]),
    )
    for known in ZIPFORMER_SIZES.values():
        if replace(size, unmasked_dim=known.unmasked_dim, final_dim=known.final_dim) == known:
            return known
    return size


def _stack_prefixes(weights: Mapping[str, Tensor]) -> list[str]:
    """Prefix of each stack's layers: one level deeper if it is downsampled."""
    indices = {name.split(".")[2] for name in weights if name.startswith("encoder.encoders.")}
    stacks = [f"encoder.encoders.{index}." for index in range(len(indices))]
    return [s + ("encoder." if f"{s}downsample.bias" in weights else "") for s in stacks]


def _stack_dims(weights: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    layer = f"{prefix}layers.0."
    bias = weights.get(f"{prefix.removesuffix('encoder.')}downsample.bias")
    values = len(weights[f"{layer}self_attn1.in_proj.bias"])
    return {
        "encoder_layers": sum(
            name.startswith(f"{prefix}layers.") and name.endswith(".norm.bias") for name in weights
        ),
        "encoder_embed_dim": len(weights[f"{layer}norm.bias"]),
        "encoder_ffn_embed_dim": len(weights[f"{layer}feed_forward2.in_proj.bias"]),
        "encoder_attention_heads": values // ZipformerSize.value_head_dim,
        "conv_kernel": weights[f"{layer}conv_module1.depthwise_conv.weight"].shape[2],
        "downsampling": 1 if bias is None else len(bias),
    }
