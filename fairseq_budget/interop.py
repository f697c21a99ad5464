"""fairseq's HuBERT and wav2vec 2.0 checkpoints as ours: foreign names and classes live here only.

Nothing of such a file is executed: ``weights_only`` stays on, every class that it names is read as
an inert stand-in, and dimensions are taken from the weights, not from expressions in its config.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file
from fairseq_budget.frames import CONV_GEOMETRY
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import ENCODER_PREFIX, Pretrained, read_pretrained

FINE_TUNED_PREFIX = "w2v_encoder.w2v_model."  # fairseq's CTC models hold the encoder here
HUBERT_HEAD = ("final_proj.weight", "final_proj.bias", "label_embs_concat")
WAV2VEC2_HEAD = ("quantizer.", "project_q.", "final_proj.")
_CONV_LAYER = re.compile(r"\((\d+),(\d+),(\d+)\)\]?(?:\*(\d+))?")


def import_fairseq(path: str | Path) -> Pretrained:
    """Read a fairseq HuBERT or wav2vec 2.0 checkpoint (pre-trained or CTC) as a portable one.

    Raises BudgetError when the file is missing, no such checkpoint, or of another architecture.
    """
    path = Path(path)
    checkpoint = load_inert(path)
    try:
        weights, config = checkpoint["model"], _config(checkpoint)
        weights = {k.removeprefix(FINE_TUNED_PREFIX): v for k, v in weights.items()}
        encoder = _encoder_config(weights, config)
    except (KeyError, TypeError, AttributeError) as error:
        raise BudgetError(
            f"{path} is no HuBERT or wav2vec 2.0 checkpoint of fairseq: {error!r} is missing"
        ) from error
    is_wav2vec2 = any(name.startswith("quantizer.") for name in weights)
    state = _encoder_state(weights, encoder, path)
    if is_wav2vec2:
        state |= {k: v for k, v in weights.items() if k.startswith(WAV2VEC2_HEAD)}
    else:
        state |= {f"head.{k}": v for k, v in weights.items() if k in HUBERT_HEAD}
    return Pretrained(
        "budget_wav2vec2" if is_wav2vec2 else "budget_hubert",
        encoder,
        {"logit_temp": _number(config, "logit_temp", 0.1)},
        state,
        {"imported_from": path.name, "checkpoint_sha256": sha256_file(path)},
    )


def read_teacher(path: str | Path) -> Pretrained:
    """Any checkpoint that can teach: an exported folder, one of ours, or one of fairseq's.

    Raises BudgetError, with what either reader says, for anything else.
    """
    try:
        return read_pretrained(path)
    except BudgetError as error:
        if not Path(path).is_file():
            raise
        try:
            return import_fairseq(path)
        except BudgetError as other:
            raise BudgetError(f"{error}; nor is it fairseq's: {other}") from other


class _Inert:
    """Stands in for every class in a foreign file: keeps its state, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


def load_inert(path: Path) -> dict[str, Any]:
    """What a foreign checkpoint holds, on the CPU; objects of any class in it are stand-ins."""
    if not path.is_file():
        raise BudgetError(f"checkpoint {path} does not exist")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        allowed: list[Any] = [
            (type(name.rpartition(".")[2], (_Inert,), {}), name) for name in names
        ]
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise BudgetError(
            f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}); files older "
            "than torch 1.6 must be saved again with a newer torch"
        ) from error
    if not isinstance(checkpoint, dict):
        raise BudgetError(f"{path} holds a {type(checkpoint).__name__}, no checkpoint")
    return checkpoint


def _config(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Model and task fields in one flat mapping, from either of fairseq's two forms."""
    if checkpoint.get("cfg") is not None:
        cfg = _plain(checkpoint["cfg"])
        return {**cfg.get("task", {}), **cfg.get("model", {})}
    return dict(_plain(checkpoint["args"]))


def _plain(value: Any) -> Any:
    """Containers out of stand-ins of argparse's and omegaconf's classes."""
    if isinstance(value, _Inert):
        fields = vars(value)
        if "_content" in fields:
            return _plain(fields["_content"])
        return _plain(fields.get("_val", fields))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _encoder_config(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> EncoderConfig:
    _check_geometry(weights, config)
    kernel = weights["encoder.pos_conv.0.weight_v"]  # (D, D / groups, K)
    dim = len(weights["mask_emb"])
    layers = [re.match(r"encoder\.layers\.(\d+)\.", name) for name in weights]
    return EncoderConfig(
        encoder_layers=1 + max(int(match[1]) for match in layers if match),
        encoder_embed_dim=dim,
        encoder_ffn_embed_dim=len(weights["encoder.layers.0.fc1.weight"]),
        encoder_attention_heads=int(_number(config, "encoder_attention_heads", dim // 64)),
        final_dim=len(weights.get("final_proj.bias", torch.empty(256))),
        conv_dim=len(weights["layer_norm.weight"]),
        conv_pos=kernel.shape[2],
        conv_pos_groups=dim // kernel.shape[1],
        conv_bias="feature_extractor.conv_layers.0.0.bias" in weights,
        extractor_mode=(
            "layer_norm" if "feature_extractor.conv_layers.1.2.1.weight" in weights else "default"
        ),
        layer_norm_first=bool(config.get("layer_norm_first", False)),
        normalize=bool(config.get("normalize", False)),
    )


def _check_geometry(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Kernels from the weights; strides are only in the config's text, which is never evaluated."""
    text = re.sub(r"\s", "", str(config.get("conv_feature_layers", "")))
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


def _encoder_state(
    weights: Mapping[str, Tensor], config: EncoderConfig, path: Path
) -> dict[str, Tensor]:
    with torch.device("meta"):
        names = SpeechEncoder(config).state_dict().keys()
    missing = sorted(names - weights.keys())
    if missing:
        raise BudgetError(
            f"{path} lacks {len(missing)} weights of a HuBERT or wav2vec 2.0 encoder, such as "
            f"{missing[0]}"
        )
    return {ENCODER_PREFIX + name: weights[name] for name in names}


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    return float(value) if isinstance(value, int | float) else default
