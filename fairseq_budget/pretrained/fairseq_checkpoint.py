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

from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.pretrained.foreign import other_kind
from fairseq_budget.pretrained.inert import load_inert, plain
from fairseq_budget.pretrained.portable import Pretrained, is_ours, read_pretrained
from fairseq_budget.pretrained.weights import check_fields, encoder_config, placed

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
DATA2VEC = "data2vec_audio"  # wav2vec 2.0's encoder, if its pos_conv_depth is 1; its head goes
HEADS = {  # model -> its weights there and here
    "hubert": {name: f"head.{name}" for name in (*PROJECTION, "label_embs_concat")},
    "wav2vec2": {
        name: name for name in (*PROJECTION, *QUANTIZER, "project_q.weight", "project_q.bias")
    },
    DATA2VEC: {},
}
_MASK_EMBEDDING = re.compile(r"((?:w2v_encoder|encoder)\.w2v_model\.)?mask_emb")


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
    check_fields(fields, COMPUTED)
    if model == DATA2VEC:
        weights = {k: v for k, v in weights.items() if not k.startswith(("final_proj.", "_ema"))}
    encoder = encoder_config(weights, fields)
    state = placed(weights, encoder, HEADS[model])
    temperature = float(fields.get("logit_temp", 0.1))
    ours = "budget_wav2vec2" if model == DATA2VEC else f"budget_{model}"
    return Pretrained(ours, encoder, {"logit_temp": temperature}, state)


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
    """One of `HEADS`; BudgetError for a model of another name."""
    name = _name(fields) or ("wav2vec2" if QUANTIZER[0] in weights else "hubert")
    if name not in HEADS:
        kind = other_kind([f"model {name}"])
        raise BudgetError(f"this is {kind or f'the model {name!r}: expected hubert or wav2vec2'}")
    return name


def _encoder_weights(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The pre-trained model's weights, and whether it stood in a recogniser, which is left out."""
    matches = [match for name in weights if (match := _MASK_EMBEDDING.fullmatch(name))]
    if not matches:
        raise KeyError("mask_emb")
    prefix = matches[0][1] or ""
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return own, bool(prefix)
