"""Tiny models of the installed fairseq, and their checkpoints as fairseq has written them."""

from __future__ import annotations

from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_budget.frames import num_frames

FIELDS = {
    "encoder_layers": 2, "encoder_embed_dim": 48, "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 3, "final_dim": 16, "conv_pos": 16, "conv_pos_groups": 4,
    "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
}  # fmt: skip
TASKS = {"hubert": "hubert_pretraining", "wav2vec2": "audio_pretraining"}
LARGE = {"layer_norm_first": True, "extractor_mode": "layer_norm"}  # and normalised waveforms


def pretrained(kind: str, **fields: Any) -> torch.nn.Module:
    """``hubert`` (two label sets) or ``wav2vec2``, with random weights that are ever the same."""
    from fairseq.models.hubert.hubert import HubertConfig, HubertModel
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    fields = {**FIELDS, **fields}
    if kind == "wav2vec2":
        return Wav2Vec2Model(Wav2Vec2Config(quantize_targets=True, latent_vars=8, **fields)).eval()
    config = HubertConfig(label_rate=50, untie_final_proj=True, **fields)
    return HubertModel(config, SimpleNamespace(sample_rate=16000), [range(5), range(7)]).eval()


def config_of(kind: str, *, normalize: bool = False, **fields: Any) -> dict[str, Any]:
    """fairseq's ``cfg`` of a pre-trained model, all fields of the model in it."""
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from omegaconf import OmegaConf

    model = OmegaConf.structured(MODEL_DATACLASS_REGISTRY[kind])
    model = OmegaConf.to_container(model, resolve=False, enum_to_str=True)
    task = {"_name": TASKS[kind], "data": "/gone", "normalize": normalize, "sample_rate": 16000}
    task |= {"labels": ["km"]} if kind == "hubert" else {"tpu": False}
    own = {"label_rate": 50} if kind == "hubert" else {}
    return {"model": {**model, **own, **FIELDS, **fields, "_name": kind}, "task": task}


def fine_tuned(kind: str, config: dict[str, Any]) -> torch.nn.Module:
    """fairseq's CTC model around an encoder with the ``cfg`` that it was pre-trained with."""
    from fairseq.data.dictionary import Dictionary
    from fairseq.models.hubert.hubert_asr import HubertCtc, HubertCtcConfig
    from fairseq.models.wav2vec.wav2vec2_asr import Wav2Vec2CtcConfig, Wav2VecCtc
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    given = {"w2v_path": "/gone", "data": "/gone", "normalize": config["task"]["normalize"]}
    model, fields = HubertCtc, HubertCtcConfig(**given)
    if kind == "wav2vec2":
        model, fields = Wav2VecCtc, Wav2Vec2CtcConfig(**given, ddp_backend="none")
    fields = OmegaConf.structured(fields)
    OmegaConf.set_struct(fields, False)
    fields.w2v_args, fields.autoregressive = OmegaConf.create(config), False
    task = SimpleNamespace(
        target_dictionary=Dictionary(), state_dict=lambda: {"dictionaries": [None]}
    )
    return model.build_model(fields, task).eval()


def fine_tuned_config(kind: str, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The ``cfg`` of that model: of the encoder's fields it has none but those in w2v_args."""
    name = {"hubert": "hubert_ctc", "wav2vec2": "wav2vec_ctc"}[kind]
    model = {"_name": name, "w2v_path": "/gone", "dropout": 0.0, "w2v_args": config, **fields}
    return {"model": model, "task": {"_name": "audio_finetuning", "normalize": None}}


def checkpoint(model: torch.nn.Module, config: dict[str, Any], form: str = "cfg") -> dict[str, Any]:
    """What fairseq saves: ``cfg`` (omegaconf's containers) or, in old files, ``args``."""
    from fairseq.data.dictionary import Dictionary
    from omegaconf import OmegaConf

    return {
        "args": namespace(config) if form == "args" else None,
        "cfg": OmegaConf.create(config) if form == "cfg" else None,
        "model": model.state_dict(),
        "task_state": {"dictionaries": [Dictionary()]},
        "extra_state": {"best": np.float64(1.5)},
    }


def namespace(config: dict[str, Any]) -> Namespace:
    """The flat form of a ``cfg``, as argparse gave it."""
    flat = {**config["task"], **config["model"]}
    name = flat.pop("_name")
    if isinstance(flat.get("w2v_args"), dict):
        flat["w2v_args"] = namespace(flat["w2v_args"])
    return Namespace(arch=name, **flat)


@torch.no_grad()
def states(model: torch.nn.Module, wave: Tensor) -> list[Tensor]:
    """What fairseq computes after each layer, (B, T, D); the last with the final norm, if any."""
    model = model.w2v_encoder.w2v_model if hasattr(model, "w2v_encoder") else model
    frames, found = num_frames(wave.shape[1]), []
    hooks = [
        layer.register_forward_hook(
            lambda _module, _inputs, out: found.append(out[0].transpose(0, 1)[:, :frames])
        )
        for layer in model.encoder.layers
    ]
    last = model.extract_features(wave, padding_mask=None, mask=False)
    for hook in hooks:
        hook.remove()
    return [*found[:-1], last["x"] if isinstance(last, dict) else last[0]]
