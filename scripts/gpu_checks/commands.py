"""What users type, on the device: training and resuming, export, labels, decoding."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from fairseq_budget.nn.encoder import SpeechEncoder
from gpu_checks.corpus import command, corpus, pretrained
from gpu_checks.registry import Options, Row, Skipped, alike, check, compared, noise

ROOT = Path(__file__).resolve().parents[2]


@check("save, resume, export", limit_s=120)
def resume(options: Options) -> Iterator[Row]:
    """As users type it, in processes of their own."""
    from fairseq_budget.pretrained import load_pretrained

    folder = options.folder / "resumed"
    yield from stop_and_go_on(options, folder)
    command("export", folder / "checkpoint_last.pt", folder / "exported")
    encoder = load_pretrained(folder / "exported")
    yield _on_device_and_cpu("the exported encoder", encoder, options)


@check("two processes, saved and resumed", limit_s=120)
def two_processes(options: Options) -> Iterator[Row]:
    if options.device == "cpu" or torch.cuda.device_count() < 2:
        raise Skipped("needs two GPUs")
    yield from stop_and_go_on(options, options.folder / "two", gpus=2)


def stop_and_go_on(options: Options, folder: Path, gpus: int = 1) -> Iterator[Row]:
    """Two updates, and in a second run two of rate 0, which leave the weights as they were read."""
    from fairseq_budget.pretrained import read_pretrained

    weights = []
    for updates, lr in ((2, 0.002), (4, 0.0)):
        train(options, "budget_tera_demo", folder, updates, lr, gpus)
        found = read_pretrained(folder / "checkpoint_last.pt")
        number = found.provenance["num_updates"]
        yield {"what": "updates made", "found": number, "asked": updates, "ok": number == updates}
        weights.append(torch.cat([w.float().flatten() for w in found.state.values()]))
    yield compared("weights that the second run began with", weights[1], weights[0], 1e-6)


def _on_device_and_cpu(what: str, encoder: SpeechEncoder, options: Options) -> Row:
    expected = encoder(noise(1, 16000)).last_hidden_state
    found = encoder.to(options.device)(noise(1, 16000).to(options.device)).last_hidden_state
    return compared(what, found, expected, 0.01)


def train(options: Options, preset: str, folder: Path, updates: int, lr: float, gpus: int) -> None:
    """fairseq-hydra-train; RuntimeError with what it prints when it fails."""
    half = [p for p in options.precisions if p != "fp32"][-1:]
    values = {
        "task.data": corpus(options),
        "task.max_sample_size": 32000,
        "checkpoint.save_dir": folder,
        "optimization.max_update": updates,
        "optimization.lr": f"[{lr}]",
        "lr_scheduler.total_num_update": 100,
        "lr_scheduler.warmup_updates": 0,
        "dataset.max_tokens": 64000,
        "distributed_training.distributed_world_size": gpus,
        "common.cpu": str(options.device == "cpu").lower(),
        **{f"common.{precision}": "true" for precision in half},
    }
    start = "from fairseq_cli.hydra_train import cli_main; cli_main()"
    words = [f"{key}={value}" for key, value in values.items()]
    done = subprocess.run(
        [sys.executable, "-c", start, "--config-dir", str(ROOT / "examples"), "--config-name",
         preset, f"+task.user_dir={ROOT / 'fairseq_budget'}", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"fairseq-hydra-train: {done.returncode}\n{done.stdout}{done.stderr}")


@check("budget-labels make by a layer")
def labels(options: Options) -> Iterator[Row]:
    folder = corpus(options)
    words = ["make", "--data", folder, "--checkpoint", pretrained(options, "tiny"), "--layer", 2,
             "--clusters", 4, "--workers", 1, "--device"]  # fmt: skip
    found = []
    for device in ("cpu", options.device):
        for path in (*folder.glob("kmeans*"), *folder.glob("*.km*"), folder / "labels.json"):
            path.unlink(missing_ok=True)
        command("labels", *words, device)
        found.append((folder / "train.km").read_text().split())
    (folder / "labels.json").unlink()  # the next check makes MFCC's again
    yield alike("labels", *reversed(found))


@check("budget-asr decode")
def decode(options: Options) -> Iterator[Row]:
    from fairseq_budget.asr.predictor import TransducerHead
    from fairseq_budget.corpus.symbols import read_vocabulary

    folder, out = corpus(options), options.folder / "decoded"
    vocabulary = read_vocabulary(folder, "ltr")
    vocab = len(vocabulary.symbols)
    torch.manual_seed(0)
    ctc = {"ctc_output": torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(128, vocab))}
    transducer = {"head": TransducerHead(128, vocab, decoder_dim=64, joiner_dim=64)}
    for model, heads, words in (
        ("budget_ctc", ctc, []),
        ("budget_transducer", transducer, []),
        ("budget_transducer", transducer, ["--beam", 4]),
    ):
        checkpoint, texts = pretrained(options, "tiny", model, vocabulary, **heads), []
        for device in ("cpu", options.device):
            command("asr", "decode", checkpoint, "--data", folder, "--labels", "ltr", "--out", out,
                    "--device", device, *words)  # fmt: skip
            texts.append(out.read_text())
        yield alike(" ".join(map(str, [model, *words])), *reversed(texts))
