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

    Raises BudgetError when the file is missing, something else (with what it is), or holds fields
    or weights that the encoder here would not compute with, by name.
    """
    path = Path(path)
    checkpoint = load_inert(path)
    try:
        return _import(checkpoint, {"imported_from": path.name}, path)
    except BudgetError as error:
        raise BudgetError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BudgetError(
            f"{path} is no HuBERT or wav2vec 2.0 checkpoint of fairseq: it lacks {error}, and has "
            f"{', '.join(sorted(map(str, checkpoint))[:5])}"
        ) from error


def _import(checkpoint: Mapping[str, Any], provenance: dict[str, Any], path: Path) -> Pretrained:
    weights = checkpoint.get("model")
    refuse_other_kinds([*checkpoint, *(weights or ())])
    all_weights: Mapping[str, Tensor] = checkpoint["model"]
    fine_tuned = any(name.startswith(FINE_TUNED_PREFIX) for name in all_weights)
    config = _config(checkpoint, fine_tuned=fine_tuned)
    refuse_other_kinds([f"model {config.get('_name') or config.get('arch')}"])
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


def _config(checkpoint: Mapping[str, Any], *, fine_tuned: bool) -> dict[str, Any]:
    """The encoder's model and task fields, flat, from either of fairseq's forms.

    A fine-tuned model keeps its encoder's in ``w2v_args``, which has either form, too.
    """
    root = plain(checkpoint["args"] if checkpoint.get("cfg") is None else checkpoint["cfg"])
    config = _flat(root)
    if not fine_tuned:
        return config
    if not isinstance(config.get("w2v_args"), Mapping):
        raise BudgetError(
            "its encoder was fine-tuned, but the fields w2v_args, which tell how to compute it, "
            f"are not in it; import the checkpoint that it began with ({config.get('w2v_path')})"
        )
    return _flat(config["w2v_args"])


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping of ``cfg`` (groups of fields) or ``args``; ``${task.normalize}`` looked up."""
    model, task = config.get("model"), config.get("task")
    if not isinstance(model, Mapping):
        return dict(config)
    task = task if isinstance(task, Mapping) else {}
    return {**task, **{name: _resolved(value, config) for name, value in model.items()}}


def _resolved(value: Any, root: Any) -> Any:
    match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    for name in match[1].split(".") if match else []:
        root = root.get(name) if isinstance(root, Mapping) else None
    return root if match else value


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
