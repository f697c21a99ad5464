"""Encoders by names: sizes, families between them, scaled in width and depth at once, and fields.

``tiny:2`` is `tiny` with about twice the parameters in its layers. Width and depth grow by the same
factor, its cube root; heads keep their width, the feed-forward networks their ratio to the width,
and the front-end stays as it is, as it does in the study's sizes. Whole heads and layers come near
the factor, not upon it. Members are overrides of their base, not entries of the table of sizes.
Behind commas a name has fields of the encoder: ``slim,frontend=logmel``.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from typing import Any

from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.sizes import SIZES, ZipformerSize
from fairseq_budget.structured import parse_word

LEAST, MOST = 1 / 64, 64  # factors, far beyond which no head, or no GPU, is left


def find_encoder(name: str) -> EncoderConfig:
    """The encoder of a size (`tiny`) or a member of its family (`tiny:2`), with fields or without.

    Raises BudgetError for unknown sizes and fields, for what is no factor, for values that no
    encoder can have, and for factors of Zipformers, whose stacks have dimensions of their own.

    >>> find_encoder("tiny:8").encoder_embed_dim
    256
    >>> find_encoder("tiny,encoder_layers=6").encoder_layers
    6
    """
    member, *settings = name.split(",")
    size, _, factor = member.partition(":")
    if size not in SIZES:
        raise BudgetError(f"size {member!r}: {expected_one_of(size, SIZES)}, or one with a factor")
    config = _scaled(member, size, _factor(member, factor)) if factor else EncoderConfig(size=size)
    if settings:
        config = replace(config, **dict(_setting(name, setting) for setting in settings))
        config.resolved()
    return config


def _setting(name: str, setting: str) -> tuple[str, Any]:
    field, _, value = setting.partition("=")
    known = [each.name for each in fields(EncoderConfig) if each.name != "size"]
    if field not in known:
        raise BudgetError(f"size {name!r}: no field {field!r}; {expected_one_of(field, known)}")
    return field, parse_word(value)


def size_of(name: str) -> str:
    """The named size that an encoder's name begins with.

    >>> size_of("slim:2,frontend=logmel")
    'slim'
    """
    return re.split("[:,]", name)[0]


def dimensions_of(config: EncoderConfig, base: EncoderConfig | None = None) -> dict[str, Any]:
    """The size, and the fields in which an encoder is not the base, by default that of the size."""
    base = base or EncoderConfig(size=config.size)
    own = {each.name: getattr(config, each.name) for each in fields(EncoderConfig)}
    differing = {name: value for name, value in own.items() if value != getattr(base, name)}
    return {"size": config.size, **differing}


def model_overrides(config: EncoderConfig, base: EncoderConfig | None = None) -> dict[str, Any]:
    """The same as settings of a preset: `model.size`, `model.frontend`, ..."""
    return {f"model.{name}": value for name, value in dimensions_of(config, base).items()}


def family(size: str) -> list[str]:
    """The members of a size's family by factors of two, smallest first; a Zipformer's is its own.

    Factors that give the same encoder, as at the small end of a small size, are one member.
    """
    base = SIZES[size]
    if isinstance(base, ZipformerSize):
        return [name for name, other in SIZES.items() if isinstance(other, ZipformerSize)]
    names = [f"{size}:{2.0**power:g}" for power in range(-6, 7)]
    names[6] = size
    return list({_layers_and_width(name): name for name in names}.values())


def _layers_and_width(name: str) -> tuple[int, int]:
    config = find_encoder(name).resolved()
    return config.encoder_layers, config.encoder_embed_dim


def _factor(name: str, text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not LEAST <= factor <= MOST:
        raise BudgetError(
            f"size {name!r}: expected a factor from {LEAST:g} to {MOST} behind the colon, tiny:2"
        )
    return factor


def _scaled(name: str, size: str, factor: float) -> EncoderConfig:
    base = SIZES[size]
    if isinstance(base, ZipformerSize):
        raise BudgetError(
            f"size {name!r}: the stacks of a Zipformer have dimensions of their own; name its "
            f"sizes as they are: {', '.join(n for n, s in SIZES.items() if type(s) is type(base))}"
        )
    head_dim = base.encoder_embed_dim // base.encoder_attention_heads
    step = math.lcm(head_dim, EncoderConfig.conv_pos_groups)
    num_layers = max(1, round(base.encoder_layers * factor ** (1 / 3)))
    ratio = math.sqrt(factor * base.encoder_layers / num_layers)  # parameters: layers x width^2
    dim = step * max(1, round(base.encoder_embed_dim * ratio / step))
    return EncoderConfig(
        size=size,
        encoder_layers=num_layers,
        encoder_embed_dim=dim,
        encoder_ffn_embed_dim=round(base.encoder_ffn_embed_dim * dim / base.encoder_embed_dim),
        encoder_attention_heads=dim // head_dim,
    )
