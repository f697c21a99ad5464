"""Folders of transformers: encoders as its HubertModel or Wav2Vec2Model, CTC with its letters.

Both compute the same, but Hubert alone may do without the LayerNorm before the projection. What
transformers' modules do not compute is refused, by name. Its fields are named here only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import sha256_file, write_json
from fairseq_budget.frames import CONV_GEOMETRY, SAMPLE_RATE
from fairseq_budget.nn.config import ResolvedConfig
from fairseq_budget.pretrained.foreign import other_kind
from fairseq_budget.pretrained.inert import load_inert
from fairseq_budget.pretrained.portable import (
    CONFIG_FILE,
    MODEL_FILE,
    Pretrained,
    write_weights,
)
from fairseq_budget.pretrained.transformers_ctc import (
    has_letters,
    head_config,
    head_state,
    letters_of,
    read_head,
    read_letters,
    write_tokenizer,
)
from fairseq_budget.pretrained.transformers_names import from_transformers, to_transformers
from fairseq_budget.pretrained.vocabulary import CTC, CTC_HEAD, TRANSDUCER
from fairseq_budget.pretrained.weights import (
    check_fields,
    encoder_config,
    importing,
    placed,
    require_convolutions,
    require_plain,
)
from fairseq_budget.structured import read_json

CLASSES = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2"}  # model_type -> how its classes begin
COMPUTED = {  # fields that change the forward pass, and the one value that is computed here
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
    "conv_kernel": [kernel for kernel, _ in CONV_GEOMETRY],
    "conv_stride": [stride for _, stride in CONV_GEOMETRY],
}
FIELDS = {  # the same number here and there
    "encoder_layers": "num_hidden_layers",
    "encoder_embed_dim": "hidden_size",
    "encoder_ffn_embed_dim": "intermediate_size",
    "encoder_attention_heads": "num_attention_heads",
    "conv_pos": "num_conv_pos_embeddings",
    "conv_pos_groups": "num_conv_pos_embedding_groups",
    "conv_bias": "conv_bias",
    "layer_norm_first": "do_stable_layer_norm",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "dropout_input": "feat_proj_dropout",
    "encoder_layerdrop": "layerdrop",
}
DEFAULTS = {"num_attention_heads": 12, "do_stable_layer_norm": False, "feat_proj_layer_norm": True}
FEATURES_FILE, OLD_MODEL_FILE = "preprocessor_config.json", "pytorch_model.bin"

REFUSED = {"conv_pos_batch_norm": False, "add_adapter": False, "adapter_attn_dim": None}


def import_transformers(folder: str | Path, *, encoder_only: bool = False) -> Pretrained:
    """A HubertModel or Wav2Vec2Model, or the encoder of a model with heads, as a portable one.

    A model for CTC with its letters is a recogniser here, unless `encoder_only`. Raises BudgetError
    when the folder is no such model, with what it is instead, or has fields or weights that have no
    place here, by name.
    """
    folder = Path(folder)
    expected = (
        f"a model that transformers saved: {CONFIG_FILE}, {MODEL_FILE} or {OLD_MODEL_FILE}, whole, "
        f"and {FEATURES_FILE}, which says whether waveforms are normalised"
    )
    with importing(folder, expected):
        return _imported(folder, encoder_only)


def _imported(folder: Path, encoder_only: bool) -> Pretrained:
    config = read_json(folder / CONFIG_FILE, dict[str, Any])
    kind = config.get("model_type")
    if kind not in CLASSES:
        names = [name for name in config if name == "format_version"]  # ours
        expected = f"the model {kind!r}: expected {' or '.join(CLASSES)}"
        raise BudgetError(f"this is {other_kind([f'model {kind}', *names]) or expected}")
    check_fields(config, COMPUTED | REFUSED)
    config = DEFAULTS | config
    features = read_json(folder / FEATURES_FILE, dict[str, Any])
    path = folder / MODEL_FILE
    if path.is_file():
        found = load_file(path)
    else:
        path = folder / OLD_MODEL_FILE
        found = load_inert(path)
    weights = from_transformers(_without_heads(kind, found))
    fields = {ours: config[theirs] for ours, theirs in FIELDS.items() if theirs in DEFAULTS}
    fields |= {
        "feature_layer_norm": config["feat_proj_layer_norm"],
        "mask_embedding": "mask_emb" in weights,
        "normalize": features.get("do_normalize", True),
    }
    encoder = encoder_config(weights, fields)
    provenance = {"imported_from": folder.name, "checkpoint_sha256": sha256_file(path)}
    own = Pretrained(f"budget_{kind}", encoder, {}, placed(weights, encoder, {}), provenance)
    if encoder_only or not has_letters(folder, found):
        return own
    head = read_head(found)
    vocabulary = read_letters(folder, config, len(head[f"{CTC_HEAD}weight"]))
    return replace(own, model=CTC, state=own.state | head, vocabulary=vocabulary)


def _without_heads(kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the encoder alone; in a model with heads they have a prefix."""
    prefix = f"{kind}." if any(name.startswith(f"{kind}.") for name in state) else ""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def save_transformers(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write what ``AutoModel`` and ``AutoFeatureExtractor`` load; no heads of pre-training.

    A CTC recogniser is for ``AutoModelForCTC`` and ``AutoProcessor``, too. Raises BudgetError for
    what transformers has no such model of, with the reason.
    """
    folder, encoder = Path(folder), checkpoint.encoder.resolved()
    require_plain(encoder, "transformers")
    require_convolutions(encoder, "transformers")
    if checkpoint.model == TRANSDUCER:
        raise BudgetError(
            "transformers has no transducer with these encoders: expected CTC, or a pre-trained "
            "model; export without --to"
        )
    own_class = checkpoint.model == "budget_wav2vec2" and encoder.feature_layer_norm
    kind = "wav2vec2" if own_class else "hubert"
    config, features = _config(kind, encoder), _feature_config(encoder)
    state = _encoder_state(checkpoint, encoder)
    if checkpoint.model == CTC:
        symbols = letters_of(checkpoint.vocabulary)
        config |= head_config(CLASSES[kind], symbols)
        features["processor_class"] = "Wav2Vec2Processor"
        state = {f"{kind}.{name}": value for name, value in state.items()} | head_state(checkpoint)
        write_tokenizer(folder, symbols)
    write_weights(folder / MODEL_FILE, state)
    write_json(folder / FEATURES_FILE, features)
    write_json(folder / CONFIG_FILE, config)


def _config(kind: str, encoder: ResolvedConfig) -> dict[str, Any]:
    hubert_only = {
        "feat_proj_layer_norm": encoder.feature_layer_norm,
        "conv_pos_batch_norm": False,
    }
    return {
        "architectures": [f"{CLASSES[kind]}Model"],
        "model_type": kind,
        "torch_dtype": "float32",
        "feat_extract_norm": "layer" if encoder.extractor_mode == "layer_norm" else "group",
        "conv_dim": [encoder.conv_dim] * len(CONV_GEOMETRY),
        # what training hides; a model that hides nothing has no embedding for it
        "mask_time_prob": 0.05 if encoder.mask_embedding else 0.0,
        **COMPUTED,
        **{theirs: getattr(encoder, ours) for ours, theirs in FIELDS.items()},
        **(hubert_only if kind == "hubert" else {}),
    }


def _feature_config(encoder: ResolvedConfig) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": encoder.normalize,
        "return_attention_mask": True,  # layers and positions never hear padding here
    }


def _encoder_state(checkpoint: Pretrained, encoder: ResolvedConfig) -> dict[str, Tensor]:
    """Float32 weights by transformers' names; theirs always project, here only to other widths."""
    state = to_transformers(checkpoint.build_encoder().state_dict())
    if encoder.conv_dim == encoder.encoder_embed_dim:
        state["feature_projection.projection.weight"] = torch.eye(encoder.conv_dim)
        state["feature_projection.projection.bias"] = torch.zeros(encoder.conv_dim)
    return state
