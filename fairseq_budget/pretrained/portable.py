"""The portable checkpoint: a folder with ``model.safetensors`` and ``config.json``.

Written from a fairseq checkpoint of ours, read by anything: loading needs neither fairseq nor
pickle. A raw fairseq checkpoint of ours is also read here, with ``weights_only`` on: its state
holds tensors and plain containers only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fairseq_budget import __version__
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, sha256_file, write_json
from fairseq_budget.frames import MEL_BINS
from fairseq_budget.nn.config import EncoderConfig, ResolvedConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained.foreign import names_in, other_kind
from fairseq_budget.pretrained.vocabulary import Vocabulary
from fairseq_budget.run.provenance import read_sessions, software
from fairseq_budget.run.recovery import read_checkpoint
from fairseq_budget.structured import conform, read_json

FORMAT_VERSION = 1
MODEL_FILE, CONFIG_FILE = "model.safetensors", "config.json"
PROVENANCE_FILE = "provenance.json"  # of exports for other tools
WORD_PIECES_FILE = "word_pieces.model"  # sentencepiece's, of recognisers that have some
OURS = "budget_"  # how the names of models begin
ENCODER_PREFIX = "encoder."  # everything else in a state dict belongs to heads
UNTRAINED = ":untrained"  # behind a path on the command line: its architecture (see `untrained`)


@dataclass
class Pretrained:
    """A checkpoint's content: what it is, its encoder's sizes, its weights, where it came from."""

    model: str  # registered name, e.g. budget_tera
    encoder: EncoderConfig
    model_config: dict[str, Any]  # all of the model's fields, heads and targets included
    state: dict[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None  # of recognisers

    def build_encoder(self) -> SpeechEncoder:
        """The encoder in eval mode, in float32; BudgetError if the weights do not fit it."""
        config = self.encoder.resolved()
        weights = {
            key.removeprefix(ENCODER_PREFIX): value.float()
            for key, value in self.state.items()
            if key.startswith(ENCODER_PREFIX)
        }
        _check_room(config, weights)
        try:
            encoder = SpeechEncoder(self.encoder)
            encoder.load_state_dict(weights)
        except (RuntimeError, ValueError) as error:
            raise BudgetError(f"the weights do not fit their config: {error}") from error
        return encoder.eval()


def _check_room(config: ResolvedConfig, weights: Mapping[str, Tensor]) -> None:
    """Refuse a config before it fills the memory: its largest matrices hold what is in the file."""
    if config.zipformer is not None:
        return  # of named sizes
    dim, num_layers = config.encoder_embed_dim, config.encoder_layers
    least = num_layers * dim * (4 * dim + 2 * config.encoder_ffn_embed_dim)
    least += dim * (dim // config.conv_pos_groups) * config.conv_pos
    least += config.conv_dim * (config.conv_dim if config.frontend == "conv" else 2 * MEL_BINS)
    there = sum(value.numel() for value in weights.values())
    if least > there or num_layers > len(weights):
        raise BudgetError(
            f"the weights do not fit their config: its {num_layers:,} layers of width {dim:,} hold "
            f"{least:,} values at least, the file {there:,}"
        )


def untrained(checkpoint: Pretrained, seed: int) -> Pretrained:
    """The same architecture with fresh weights: the control of every comparison."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = SpeechEncoder(checkpoint.encoder)
    state = {ENCODER_PREFIX + key: value for key, value in encoder.state_dict().items()}
    provenance = {"untrained_seed": seed, "architecture_of": checkpoint.provenance}
    return Pretrained(
        checkpoint.model, checkpoint.encoder, checkpoint.model_config, state, provenance
    )


def save_pretrained(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write the portable checkpoint; each file appears whole or not at all."""
    folder = Path(folder)
    config = {
        "format_version": FORMAT_VERSION,
        "model": checkpoint.model,
        "encoder": asdict(checkpoint.encoder.resolved()),
        "model_config": checkpoint.model_config,
        "provenance": exported_provenance(checkpoint),
    }
    if (vocabulary := checkpoint.vocabulary) is not None:
        config["vocabulary"] = {"symbols": vocabulary.symbols, "blank": vocabulary.blank}
        if vocabulary.word_pieces is not None:
            with atomic_write(folder / WORD_PIECES_FILE, "wb") as file:
                file.write(vocabulary.word_pieces)
    write_weights(folder / MODEL_FILE, checkpoint.state)
    config["sha256"] = {
        name: sha256_file(folder / name)
        for name in (MODEL_FILE, WORD_PIECES_FILE)
        if (folder / name).is_file()
    }
    write_json(folder / CONFIG_FILE, config)


def exported_provenance(checkpoint: Pretrained) -> dict[str, Any]:
    """Where a checkpoint came from, and what exports it now."""
    return {
        "fairseq_budget": __version__,
        "exported_with": software(),
        **checkpoint.provenance,
    }


def write_provenance(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write ``provenance.json`` beside what is for another tool; ours has it in its config."""
    write_json(Path(folder) / PROVENANCE_FILE, exported_provenance(checkpoint))


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write safetensors, whole or not at all."""
    contiguous = {key: value.contiguous() for key, value in state.items()}
    with atomic_write(path, "wb") as file:
        file.write(save(contiguous, metadata={"format": "pt"}))


def read_pretrained(path: str | Path) -> Pretrained:
    """Read an exported folder, or a fairseq checkpoint of ours.

    Raises BudgetError when it is missing, unreadable, of a newer format, or not ours.
    """
    path = Path(path)
    if not path.exists():
        raise BudgetError(
            f"checkpoint {path} does not exist; name an exported folder or a .pt file"
        )
    return _read_folder(path) if path.is_dir() else _read_fairseq(path)


def load_pretrained(path: str | Path) -> SpeechEncoder:
    """The encoder of a checkpoint (see read_pretrained), in eval mode, in float32, on the CPU.

    It takes a waveform, a batch or a list of any lengths (see SpeechEncoder.forward).
    """
    checkpoint = read_pretrained(path)
    try:
        return checkpoint.build_encoder()
    except BudgetError as error:
        raise BudgetError(f"{path}: {error}") from error


def _read_folder(folder: Path) -> Pretrained:
    names = names_in(folder)
    if "format_version" not in names and (kind := other_kind(names)):
        raise BudgetError(f"{folder} is {kind}")
    try:
        raw = read_json(folder / CONFIG_FILE, dict)
        version = raw.get("format_version")
        if version != FORMAT_VERSION:
            raise BudgetError(
                f"format_version {version!r} in {CONFIG_FILE}; this fairseq_budget {__version__} "
                f"reads {FORMAT_VERSION}: export again, or update fairseq_budget"
            )
        config = conform(raw, _Config, CONFIG_FILE)
        if not config.model.startswith(OURS):
            raise ValueError(f"its model is {config.model[:40]!r}, not a {OURS}* model")
        read_sessions(config.provenance.get("sessions", []))
        for name, sha256 in config.sha256.items():
            if name not in (MODEL_FILE, WORD_PIECES_FILE) or sha256_file(folder / name) != sha256:
                raise BudgetError(f"{name} is not what was exported: it has changed since")
        state = load_file(folder / MODEL_FILE)
        vocabulary = _read_vocabulary(folder, config.vocabulary)
    except (OSError, ValueError, SafetensorError) as error:
        raise BudgetError(
            f"{folder} is not an exported checkpoint ({error}): expected {MODEL_FILE} and "
            f"{CONFIG_FILE}, as `budget-export CHECKPOINT FOLDER` writes them"
        ) from error
    return Pretrained(
        config.model,
        EncoderConfig.from_dict(config.encoder),
        config.model_config,
        state,
        config.provenance,
        vocabulary,
    )


@dataclass(frozen=True)
class _Symbols:
    symbols: list[str]
    blank: int = 0


@dataclass(frozen=True)
class _Config:
    """The content of ``config.json``; `sha256` is of the files beside it, if one wrote it."""

    format_version: int
    model: str
    encoder: dict[str, Any]
    model_config: dict[str, Any]
    provenance: dict[str, Any]
    vocabulary: _Symbols | None = None
    sha256: dict[str, str] = field(default_factory=dict)


def _read_vocabulary(folder: Path, found: _Symbols | None) -> Vocabulary | None:
    if found is None:
        return None
    pieces = folder / WORD_PIECES_FILE
    content = pieces.read_bytes() if pieces.is_file() else None
    return Vocabulary(found.symbols, found.blank, content)


def open_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ours; BudgetError for anything else (see ``read_checkpoint``)."""
    checkpoint = read_checkpoint(path)
    if not is_ours(checkpoint):
        raise BudgetError(
            f"{path} holds a {_model_name(checkpoint)!r}, not a budget_* model: budget-import "
            "makes one of public checkpoints"
        )
    try:
        Vocabulary.from_state(conform(checkpoint.get("task_state", {}), dict, "task_state"))
        read_sessions(checkpoint.get("sessions", []))
        conform(checkpoint["optimizer_history"][-1]["num_updates"], int, "num_updates")
        for section in ("model", "task", "optimization", "criterion"):
            conform(checkpoint["cfg"][section], dict[str, Any], f"cfg.{section}")
        for section in ("common", "distributed_training"):
            conform(checkpoint["cfg"].get(section, {}), dict[str, Any], f"cfg.{section}")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BudgetError(
            f"{path} is not what a run has saved ({type(error).__name__}: {error}): take another "
            "checkpoint of its folder"
        ) from error
    return checkpoint


def is_ours(checkpoint: Mapping[str, Any]) -> bool:
    """Whether the contents of a file are those of a checkpoint that a budget_* model wrote."""
    return _model_name(checkpoint).startswith(OURS)


def _model_name(checkpoint: Mapping[str, Any]) -> str:
    try:
        return str(checkpoint["cfg"]["model"]["_name"])
    except (KeyError, TypeError, IndexError):
        return "None"


def _read_fairseq(path: Path) -> Pretrained:
    checkpoint = open_checkpoint(path)
    cfg = checkpoint["cfg"]
    provenance = {
        "checkpoint": path.name,
        "checkpoint_sha256": sha256_file(path),
        "num_updates": checkpoint["optimizer_history"][-1]["num_updates"],
        "audio_hours": checkpoint.get("task_state", {}).get("audio_hours"),
        "flops": checkpoint.get("task_state", {}).get("flops"),
        "losses": _losses(checkpoint),
        "task": cfg["task"],
        "optimization": cfg["optimization"],
        "criterion": cfg["criterion"],
        **{section: cfg.get(section) for section in ("optimizer", "lr_scheduler", "dataset")},
        "seed": cfg.get("common", {}).get("seed"),
        "num_processes": cfg.get("distributed_training", {}).get("distributed_world_size"),
        "sessions": checkpoint.get("sessions", []),
    }
    model = cfg["model"]
    return Pretrained(
        model["_name"],
        EncoderConfig.from_dict(model),
        model,
        checkpoint["model"],
        provenance,
        Vocabulary.from_state(checkpoint.get("task_state", {})),
    )


def _losses(checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """The last means that fairseq has kept: of the epoch in training, and of validation."""
    losses: dict[str, float] = {}
    for shown, split in (("training", "train"), ("validation", "valid")):
        with suppress(LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            metrics = checkpoint["extra_state"]["metrics"][split]
            [mean] = [meter for _, name, _, meter in metrics if name == "loss"]
            loss = float(mean["sum"]) / float(mean["count"])
            losses |= {shown: loss} if math.isfinite(loss) else {}
    return losses
