"""Names of weights in transformers' HuBERT and wav2vec 2.0, which torchaudio's nearly are.

The names here are fairseq's; below the encoder's prefix each has one there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_CONV, _LAYER = "feature_extractor.conv_layers.{}.", "encoder.layers.{}."
_POSITIONS = "encoder.pos_conv_embed.conv."
_CHANNEL_NORM, _TIME_NORM = ("2.1.", "2.")  # a front-end has one kind
_PROJECTION = ("post_extract_proj.weight", "post_extract_proj.bias")
_PAIRS = (  # the beginning of a name here and there; {} is an index
    (f"{_CONV}0.", f"{_CONV}conv."),
    (f"{_CONV}{_CHANNEL_NORM}", f"{_CONV}layer_norm."),
    (f"{_CONV}{_TIME_NORM}", f"{_CONV}layer_norm."),
    ("layer_norm.", "feature_projection.layer_norm."),
    ("post_extract_proj.", "feature_projection.projection."),
    ("mask_emb", "masked_spec_embed"),
    ("encoder.pos_conv.0.weight_g", f"{_POSITIONS}parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", f"{_POSITIONS}parametrizations.weight.original1"),
    ("encoder.pos_conv.0.", _POSITIONS),  # with older versions' weight_g and weight_v
    (f"{_LAYER}self_attn.", f"{_LAYER}attention."),
    (f"{_LAYER}self_attn_layer_norm.", f"{_LAYER}layer_norm."),
    (f"{_LAYER}fc1.", f"{_LAYER}feed_forward.intermediate_dense."),
    (f"{_LAYER}fc2.", f"{_LAYER}feed_forward.output_dense."),
)


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's weights under transformers' names."""
    return {_renamed(name, _PAIRS): value for name, value in state.items()}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a HubertModel or Wav2Vec2Model under our names; other weights keep theirs.

    A projection that changes nothing, as `transformers_folder` writes, goes.
    """
    second_norm = f"{_CONV.format(1)}layer_norm.weight"
    other_norm = _TIME_NORM if second_norm in state else _CHANNEL_NORM
    pairs = [(b, a) for a, b in _PAIRS if a != f"{_CONV}{other_norm}"]
    weights = {_renamed(name, pairs): value for name, value in state.items()}
    weight, bias = (weights.get(name) for name in _PROJECTION)
    if weight is None or bias is None or bias.any():
        return weights
    if torch.equal(weight.float(), torch.eye(len(bias))):
        return {name: value for name, value in weights.items() if name not in _PROJECTION}
    return weights


def _renamed(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        pattern = re.escape(old).replace(r"\{\}", r"(\d+)")
        if match := re.match(pattern, name):
            return new.format(*match.groups()) + name[match.end() :]
    return name
