"""What the checks train on and start from: tunes, their labels and transcripts, random weights."""

from __future__ import annotations

import contextlib
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fairseq_budget.cli import find_command
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained.vocabulary import Vocabulary
from gpu_checks.registry import Options, noise, still


def corpus(options: Options, seconds: float = 2.2, count: int = 4) -> Path:
    """A folder of manifests, labels and transcripts for a few utterances of tones, made once."""
    from fairseq_budget.audio.io import write_audio
    from fairseq_budget.corpus.column import write_column
    from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
    from fairseq_budget.corpus.symbols import letters, write_dictionary

    folder = options.folder / f"{seconds:g}s"
    if (folder / "labels.json").exists():
        return folder
    utterances = []
    for number in range(count):
        samples = round(16000 * seconds) + 1600 * number
        hertz = 150 * 2 ** (torch.arange(samples) // 4000 * (number + 2) % 5)  # a tune of its own
        wave = 0.3 * torch.sin(2 * torch.pi * hertz / 16000 * torch.arange(samples))
        wave = (wave + 0.02 * noise(samples, seed=number)).unsqueeze(1)
        write_audio(folder / f"{number}.wav", wave.numpy(), 16000)
        utterances.append(Utterance((Piece(f"{number}.wav"),), samples))
    rows = [letters("the dog" if number % 2 else "a god") for number in range(count)]
    for split in ("train", "valid"):
        Manifest(folder, utterances).write(folder / f"{split}.tsv")
        for name in ("ltr", "bpe"):
            write_column(folder / f"{split}.tsv", name, rows, rate=None)
            write_dictionary(folder, name, rows)
    command("labels", "make", "--data", folder, "--clusters", 8, "--workers", 1)
    return folder


def command(name: str, *words: object) -> str:
    """What a command of ours prints, run in this process; RuntimeError if it fails."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = find_command(name).main([str(word) for word in words])
    if code:
        raise RuntimeError(f"budget-{name} ended with {code}: {printed.getvalue()}")
    return printed.getvalue()


def pretrained(
    options: Options,
    size: str,
    model: str = "budget_hubert",
    vocabulary: Vocabulary | None = None,
    **heads: Any,
) -> Path:
    """An exported folder with random weights."""
    from fairseq_budget.pretrained import Pretrained, save_pretrained

    folder = options.folder / f"{model}.{size}"
    if not folder.exists():
        torch.manual_seed(0)
        encoder = SpeechEncoder(still(size))
        state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        state |= {k: v for head, module in heads.items()
                  for k, v in module.state_dict(prefix=f"{head}.").items()}  # fmt: skip
        config = {**asdict(still(size)), "decoder_dim": 64, "joiner_dim": 64}
        found = Pretrained(model, still(size), config, state, vocabulary=vocabulary)
        save_pretrained(folder, found)
    return folder
