"""Exports and checkpoints, ours and others'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.pretrained.averaging import read_running_mean
from fairseq_budget.pretrained.fairseq_checkpoint import read_teacher
from fairseq_budget.pretrained.k2ssl_checkpoint import read_k2ssl, write_k2ssl
from fairseq_budget.pretrained.portable import (
    CONFIG_FILE,
    ENCODER_PREFIX,
    MODEL_FILE,
    Pretrained,
    load_pretrained,
    read_pretrained,
    save_pretrained,
)
from fairseq_budget.pretrained.transformers_folder import import_transformers, save_transformers
from fairseq_budget.pretrained.vocabulary import CTC_HEAD, Vocabulary
from fairseq_budget.sizes import ZipformerSize
from fuzzing.codecs import JSON, TORCH
from fuzzing.kinds.made import require
from fuzzing.reader import Reader

_LETTERS = ("<s>", "<pad>", "</s>", "<unk>", "|", "a")


def _pretrained() -> Pretrained:
    torch.manual_seed(0)
    config = EncoderConfig(size="tiny", encoder_layers=1)
    weights = SpeechEncoder(config).state_dict()
    state = {f"encoder.{name}": value.half() for name, value in weights.items()}
    words = Vocabulary(list(_LETTERS))
    return Pretrained("budget_ctc", config, asdict(config), state, {"num_updates": 7}, words)


def _export(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save_pretrained(folder, _pretrained())
        return folder / name

    return make


def _weights(state: dict[str, Any]) -> Any:
    return [(name, str(value.dtype), value.float().sum().item()) for name, value in state.items()]


def _read_export(path: Path) -> Any:
    found = read_pretrained(path.parent)
    load_pretrained(path.parent)
    return found.model, asdict(found.encoder.resolved()), _weights(found.state), found.vocabulary


def _check_export(content: Any) -> None:
    words = content[-1]
    if words is not None:
        require(0 <= words.blank < len(words.symbols), words)
        require(len(set(words.symbols)) == len(words.symbols), words)
    require(str(content[0]).startswith("budget_"), content[0])


def checkpoint(folder: Path) -> Path:
    made, section = _pretrained(), {"_name": "x", "max_update": 9}
    assert made.vocabulary is not None
    model = {**made.model_config, "_name": made.model}
    saved = {
        "model": made.state,
        "cfg": {"model": model, "task": section, "optimization": section, "criterion": section},
        "optimizer_history": [{"num_updates": 3}],
        "task_state": {
            **{"audio_hours": 1.0, "flops": 1.0, "weights_count": 2},
            **made.vocabulary.state_dict(),
            "weights_mean": {"encoder.x": torch.zeros(3)},
        },
    }
    torch.save(saved, folder / "checkpoint_1_3.pt")
    return folder / "checkpoint_1_3.pt"


def _read_checkpoint(path: Path) -> Any:
    found, mean = read_pretrained(path), read_running_mean(path)
    load_pretrained(path)
    told = {k: found.provenance[k] for k in ("num_updates", "audio_hours", "flops")}
    means = _weights(mean.mean), mean.count
    return found.model, asdict(found.encoder), _weights(found.state), told, means, found.vocabulary


def _fairseq(is_zip: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        model = {"_name": "hubert", "encoder_attention_heads": 2, "layer_norm_first": False}
        weights = {k.removeprefix(ENCODER_PREFIX): v for k, v in _pretrained().state.items()}
        saved = {"model": weights, "cfg": {"model": model, "task": {"normalize": True}}}
        torch.save(saved, folder / "hubert.pt", _use_new_zipfile_serialization=is_zip)
        return folder / "hubert.pt"

    return make


def _read_fairseq(path: Path) -> Any:
    found = read_teacher(path)
    return found.model, asdict(found.encoder), _weights(found.state)


def _transformers(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        checkpoint, size = _pretrained(), len(_LETTERS)
        width = checkpoint.encoder.resolved().output_dim
        head = {"weight": torch.zeros(size, width), "bias": torch.zeros(size)}
        checkpoint.state |= {CTC_HEAD + key: value for key, value in head.items()}
        save_transformers(folder, checkpoint)
        return folder / name

    return make


def _read_transformers(path: Path) -> Any:
    found = import_transformers(path.parent)
    found.build_encoder()
    return found.model, asdict(found.encoder.resolved()), _weights(found.state), found.vocabulary


_TWO_STACKS = ZipformerSize(
    encoder_layers=(1, 2),
    encoder_embed_dim=(12, 16),
    encoder_ffn_embed_dim=(16, 32),
    unmasked_dim=(12, 16),
    encoder_attention_heads=(2, 3),
    conv_kernel=(5, 3),
    downsampling=(1, 4),
    query_head_dim=5,
    pos_dim=8,
    conv_dim=20,
)


def _k2ssl(folder: Path) -> Path:
    encoder = ZipformerEncoder(_TWO_STACKS).state_dict()
    state = {f"{ENCODER_PREFIX}encoder.{name}": value for name, value in encoder.items()}
    state[f"{ENCODER_PREFIX}layer_norm.weight"] = torch.ones(20)
    write_k2ssl(folder / "epoch-1.pt", state)
    return folder / "epoch-1.pt"


def _read_k2ssl(path: Path) -> Any:
    size, state = read_k2ssl(path)
    return size, _weights(state)


READERS = (
    Reader("export's config.json", _export(CONFIG_FILE), _read_export, _check_export, codec=JSON),
    Reader("export's weights", _export(MODEL_FILE), _read_export, is_guarded=True),
    Reader("checkpoint", checkpoint, _read_checkpoint, _check_export, True, TORCH),
    Reader("fairseq's checkpoint", _fairseq(is_zip=True), _read_fairseq, codec=TORCH),
    Reader("fairseq's, before torch 1.6", _fairseq(is_zip=False), _read_fairseq),
    *(
        Reader(f"transformers' {name}", _transformers(name), _read_transformers, _check_export,
               codec=JSON)
        for name in ("config.json", "vocab.json", "tokenizer_config.json")
    ),
    Reader("k2SSL's checkpoint", _k2ssl, _read_k2ssl, codec=TORCH),
)  # fmt: skip
