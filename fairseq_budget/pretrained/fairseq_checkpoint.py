"""fairseq's HuBERT and wav2vec 2.0 checkpoints as ours: foreign names and fields live here only.

Read as inert objects (inert.py); what it is, from its names; dimensions from the weights, never
from expressions in its config; the other fields from where fairseq keeps them, or refused; then the
weights, of which every one has a place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file
from fairseq_budget.frames import CONV_GEOMETRY, SAMPLE_RATE
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained.foreign import other_kind
from fairseq_budget.pretrained.inert import load_inert, plain
from fairseq_budget.pretrained.portable import ENCODER_PREFIX, Pretrained, is_ours, read_pretrained

# Fields that change fairseq's forward pass and have no counterpart here: the one value that is
# computed, which is also fairseq's default. Dimensions are read off the weights.
COMPUTED = {
    "activation_fn": "gelu",
    "layer_type": "transformer",  # others are conformers and adapters
    "quantize_input": False,
    "target_glu": False,
    "quantizer_depth": 1,
    "pos_conv_depth": 1,
    "conv_pos_batch_norm": False,
    "crop_seq_to_multiple": 1,
    "relative_position_embedding": False,  # WavLM's
    "sample_rate": SAMPLE_RATE,
}
CHOSEN_ANEW = ("layer_type",)  # of those: what fine-tuning replaces in its encoder's fields
PROJECTION = ("final_proj.weight", "final_proj.bias")
QUANTIZER = ("quantizer.vars", "quantizer.weight_proj.weight", "quantizer.weight_proj.bias")
HEADS = {  # model -> its weights there and here
    "hubert": {name: f"head.{name}" for name in (*PROJECTION, "label_embs_concat")},
    "wav2vec2": {
        name: name for name in (*PROJECTION, *QUANTIZER, "project_q.weight", "project_q.bias")
    },
}
_MASK_EMBEDDING = re.compile(r"((?:w2v_encoder|encoder)\.w2v_model\.)?mask_emb")
_CONV_LAYER = re.compile(r"\((\d+),(\d+),(\d+)\)\]?(?:\*(\d+))?")


def import_fairseq(path: str | Path) -> Pretrained:
    """Read a fairseq HuBERT or wav2vec 2.0 checkpoint as a portable one.

    Of a fine-tuned one (CTC or with a decoder) the encoder. Raises BudgetError when the file is
    missing, something else (with what it is), or has fields or weights that have no place here, by
    name.
    """
    return _from_fairseq(load_inert(Path(path)), Path(path))


def read_teacher(path: str | Path) -> Pretrained:
    """Any checkpoint that can teach: an exported folder, one of ours, or one of fairseq's.

    Raises BudgetError as `read_pretrained` and `import_fairseq` do.
    """
    path = Path(path)
    if not path.is_file():
        return read_pretrained(path)
    checkpoint = load_inert(path)
    return read_pretrained(path) if is_ours(checkpoint) else _from_fairseq(checkpoint, path)


def _from_fairseq(checkpoint: Mapping[str, Any], path: Path) -> Pretrained:
    try:
        imported = _imported(checkpoint)
    except BudgetError as error:
        raise BudgetError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BudgetError(
            f"{path} is no HuBERT or wav2vec 2.0 checkpoint of fairseq: it lacks {error}, and has "
            f"{', '.join(sorted(map(str, checkpoint))[:5])}"
        ) from error
    provenance = {"imported_from": path.name, "checkpoint_sha256": sha256_file(path)}
    return replace(imported, provenance=provenance)


def _imported(checkpoint: Mapping[str, Any]) -> Pretrained:
    config = checkpoint.get("args") if checkpoint.get("cfg") is None else checkpoint["cfg"]
    fields = {} if config is None else _flat(plain(config))
    kind = other_kind([*checkpoint, *checkpoint.get("model", ()), f"model {_name(fields)}"])
    if kind:
        raise BudgetError(f"this is {kind}")
    weights, fine_tuned = _encoder_weights(checkpoint["model"])
    if fine_tuned:
        fields = _fields_before(fields)
    model = _model(fields, weights)
    _check_fields(fields)
    encoder = _encoder_config(weights, fields)
    state = _mapped(weights, encoder, HEADS[model])
    temperature = float(fields.get("logit_temp", 0.1))
    return Pretrained(f"budget_{model}", encoder, {"logit_temp": temperature}, state)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping of ``cfg`` (groups of fields) or ``args``; ``${task.normalize}`` looked up."""
    if not isinstance(config.get("model"), Mapping):
        return dict(config)
    task = config["task"] if isinstance(config.get("task"), Mapping) else {}
    return {**task, **{name: _resolved(value, config) for name, value in config["model"].items()}}


def _resolved(value: Any, root: Any) -> Any:
    match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    for name in match[1].split(".") if match else []:
        root = root.get(name) if isinstance(root, Mapping) else None
    return root if match else value


def _field(fields: Mapping[str, Any], name: str, default: Any) -> Any:
    """A field, fairseq's default where there is none; BudgetError if it is of another type."""
    value = fields.get(name, default)
    if not isinstance(value, type(default)):
        raise BudgetError(f"its field {name} is {value!r}: expected a {type(default).__name__}")
    return value


def _fields_before(fine_tuning: Mapping[str, Any]) -> dict[str, Any]:
    """A fine-tuned encoder's own fields, of ``w2v_args``; some are replaced in fine-tuning."""
    fields = fine_tuning.get("w2v_args")
    if not isinstance(fields, Mapping):
        raise BudgetError(
            "its encoder was fine-tuned, but the fields w2v_args, which tell how to compute it, "
            f"are not in it; take the checkpoint that it began with ({fine_tuning.get('w2v_path')})"
        )
    given = ((name, fine_tuning.get(name)) for name in CHOSEN_ANEW)
    return _flat(fields) | {name: value for name, value in given if value is not None}


def _name(fields: Mapping[str, Any]) -> Any:
    return fields.get("_name") or fields.get("arch")


def _model(fields: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """``hubert`` or ``wav2vec2``; BudgetError for a model of another name."""
    name = _name(fields) or ("wav2vec2" if QUANTIZER[0] in weights else "hubert")
    if name not in HEADS:
        kind = other_kind([f"model {name}"])
        raise BudgetError(f"this is {kind or f'the model {name!r}: expected hubert or wav2vec2'}")
    return name


def _check_fields(fields: Mapping[str, Any]) -> None:
    for name, value in COMPUTED.items():
        if fields.get(name) not in (None, value):
            raise BudgetError(
                f"its field {name} is {fields[name]!r}: only models with {value!r} are computed "
                "here; take another checkpoint"
            )


def _encoder_weights(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The pre-trained model's weights, and whether it stood in a recogniser, which is left out."""
    matches = [match for name in weights if (match := _MASK_EMBEDDING.fullmatch(name))]
    if not matches:
        raise KeyError("mask_emb")
    prefix = matches[0][1] or ""
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return own, bool(prefix)


def _encoder_config(weights: Mapping[str, Tensor], fields: Mapping[str, Any]) -> EncoderConfig:
    _check_geometry(weights, fields)
    kernel = weights["encoder.pos_conv.0.weight_v"]  # (D, D / groups, K)
    dim = len(weights["mask_emb"])
    layers = [re.match(r"encoder\.layers\.(\d+)\.", name) for name in weights]
    return EncoderConfig(
        encoder_layers=1 + max(int(match[1]) for match in layers if match),
        encoder_embed_dim=dim,
        encoder_ffn_embed_dim=len(weights["encoder.layers.0.fc1.weight"]),
        encoder_attention_heads=_field(fields, "encoder_attention_heads", 12),
        final_dim=_final_dim(weights),
        conv_dim=len(weights["layer_norm.weight"]),
        conv_pos=kernel.shape[2],
        conv_pos_groups=dim // kernel.shape[1],
        conv_bias="feature_extractor.conv_layers.0.0.bias" in weights,
        extractor_mode=(
            "layer_norm" if "feature_extractor.conv_layers.1.2.1.weight" in weights else "default"
        ),
        layer_norm_first=_field(fields, "layer_norm_first", False),
        normalize=_field(fields, "normalize", False),
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


def _mapped(
    weights: Mapping[str, Tensor], config: EncoderConfig, heads: Mapping[str, str]
) -> dict[str, Tensor]:
    """The weights by our names; BudgetError, by name, if one is missing, misshapen or left over."""
    with torch.device("meta"):
        encoder = SpeechEncoder(config).state_dict()
    for name, ours in encoder.items():
        found = list(weights[name].shape) if name in weights else "missing"
        if found != list(ours.shape):
            raise BudgetError(f"its weight {name} is {found}: expected {list(ours.shape)}")
    places = {name: ENCODER_PREFIX + name for name in encoder} | dict(heads)
    left_over = sorted(weights.keys() - places.keys())
    if left_over:
        raise BudgetError(
            f"{len(left_over)} of its weights have no place here, so it would be another model: "
            f"{', '.join(left_over[:3])}; take another checkpoint"
        )
    return {places[name]: value for name, value in weights.items()}
