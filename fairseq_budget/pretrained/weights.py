"""What weights under fairseq's names, which are ours, tell of an encoder; and their places here.

Whatever toolkit a checkpoint is of, its weights get these names first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import CONV_GEOMETRY
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.shapes import shapes_only
from fairseq_budget.pretrained.foreign import other_kind
from fairseq_budget.pretrained.portable import ENCODER_PREFIX

_CONV_LAYER = re.compile(r"\((\d+),(\d+),(\d+)\)\]?(?:\*(\d+))?")


@contextmanager
def importing(path: Path, expected: str) -> Iterator[None]:
    """Errors within say which file it is and, if it is something else, what was expected."""
    try:
        yield
    except BudgetError as error:
        raise BudgetError(f"{path}: {error}") from error
    except (
        *(KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RecursionError),
        *(OSError, ValueError, SafetensorError),
    ) as error:
        raise BudgetError(f"{path} is not {expected} ({type(error).__name__}: {error})") from error


def check_fields(fields: Mapping[str, Any], computed: Mapping[str, Any]) -> None:
    """Refuse a field that has another value than the one that is computed here; BudgetError."""
    for name, value in computed.items():
        if fields.get(name) not in (None, value):
            raise BudgetError(
                f"its field {name} is {fields[name]!r}: only models with {value!r} are computed "
                "here; take another checkpoint"
            )


def require_plain(config: ResolvedConfig, tool: str) -> None:
    """Refuse, for an export, the encoders that are ours alone: BudgetError."""
    if config.zipformer is not None or config.subsample != "none":
        raise BudgetError(
            f"size={config.size}, subsample={config.subsample}: for {tool} expected a transformer "
            "whose frames are 20 ms apart; export without --to"
        )


def require_convolutions(config: ResolvedConfig, tool: str) -> None:
    """Refuse, for an export, what hears log-mel frames: BudgetError."""
    if config.frontend != "conv":
        raise BudgetError(
            f"model.frontend={config.frontend}: {tool} has no such front-end, its models begin "
            "with convolutions on the waveform; export without --to, or --to onnx"
        )


def encoder_config(weights: Mapping[str, Tensor], fields: Mapping[str, Any]) -> EncoderConfig:
    """Dimensions off the weights; ``fields``, by our names, say what these do not tell.

    Raises BudgetError for another front-end and fields of other types, KeyError for weights that
    are missing.
    """
    _check_geometry(weights, fields)
    kernel = weights["encoder.pos_conv.0.weight_v"]  # (D, D / groups, K)
    dim = len(kernel)
    layers = [re.match(r"encoder\.layers\.(\d+)\.", name) for name in weights]
    return EncoderConfig(
        encoder_layers=len({match[1] for match in layers if match}),
        encoder_embed_dim=dim,
        encoder_ffn_embed_dim=len(weights["encoder.layers.0.fc1.weight"]),
        encoder_attention_heads=_field(fields, "encoder_attention_heads", 12),
        final_dim=_final_dim(weights),
        conv_dim=len(weights["feature_extractor.conv_layers.0.0.weight"]),
        conv_pos=kernel.shape[2],
        conv_pos_groups=dim // kernel.shape[1],
        conv_bias="feature_extractor.conv_layers.0.0.bias" in weights,
        extractor_mode=(
            "layer_norm" if "feature_extractor.conv_layers.1.2.1.weight" in weights else "default"
        ),
        layer_norm_first=_field(fields, "layer_norm_first", False),
        normalize=_field(fields, "normalize", False),
        feature_layer_norm=_field(fields, "feature_layer_norm", True),
        mask_embedding=_field(fields, "mask_embedding", True),
    )


def _final_dim(weights: Mapping[str, Tensor]) -> int:
    """Label embeddings tell: of several label sets, projections lie one after the other."""
    if "label_embs_concat" in weights:
        return weights["label_embs_concat"].shape[1]
    return len(weights.get("final_proj.bias", torch.empty(256)))


def _check_geometry(weights: Mapping[str, Tensor], fields: Mapping[str, Any]) -> None:
    """Kernels from the weights; strides are only in the config's text, which is never evaluated."""
    text = re.sub(r"\s", "", str(fields.get("conv_feature_layers", "")))
    layers = [
        (int(kernel), int(stride))
        for _, kernel, stride, times in _CONV_LAYER.findall(text)
        for _ in range(int(times or 1))
    ]
    kernels = [
        weights[f"feature_extractor.conv_layers.{i}.0.weight"].shape[2]
        for i in range(len(CONV_GEOMETRY))
    ]
    expected = [kernel for kernel, _ in CONV_GEOMETRY]
    if kernels != expected or (layers and layers != list(CONV_GEOMETRY)):
        raise BudgetError(
            f"the front-end's (kernel, stride) are {layers or kernels}; only the 20 ms front-end "
            f"of HuBERT and wav2vec 2.0 is supported: {list(CONV_GEOMETRY)}"
        )


def placed(
    weights: Mapping[str, Tensor], config: EncoderConfig, heads: Mapping[str, str]
) -> dict[str, Tensor]:
    """The weights by our names; BudgetError, by name, if one is missing, misshapen or left over."""
    with shapes_only():
        encoder = SpeechEncoder(config).state_dict()
    places = {name: ENCODER_PREFIX + name for name in encoder} | dict(heads)
    left_over = sorted(weights.keys() - places.keys())
    if kind := other_kind(left_over):
        raise BudgetError(f"this is {kind}")
    for name, ours in encoder.items():
        found = list(weights[name].shape) if name in weights else "missing"
        if found != list(ours.shape):
            raise BudgetError(f"its weight {name} is {found}: expected {list(ours.shape)}")
    if left_over:
        raise BudgetError(
            f"{len(left_over)} of its weights have no place here, so it would be another model: "
            f"{', '.join(left_over[:3])}; take another checkpoint"
        )
    return {places[name]: value for name, value in weights.items()}


def _field(fields: Mapping[str, Any], name: str, default: Any) -> Any:
    """A field, fairseq's default where there is none; BudgetError if it is of another type."""
    value = fields.get(name, default)
    if not isinstance(value, type(default)):
        raise BudgetError(f"its field {name} is {value!r}: expected a {type(default).__name__}")
    return value
