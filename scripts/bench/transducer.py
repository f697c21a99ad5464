"""Time and peak memory of the pruned transducer loss, beside CTC and losses on the full lattice.

    python scripts/bench/transducer.py --frames 250 500 --symbols 50

Forward and backward from encoder output to gradients, the joiner (of CTC: one linear layer)
included, with the same random weights and inputs; every case in a process of its own. Full
lattice: our scan over the joiner's (B, T, S+1, V) logits, and torchaudio's `rnnt_loss` on them
where its extension can be loaded. Memory is what the case adds to the peak of the process after a
small warm-up (on a GPU: what torch allocates).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from fairseq_budget.asr.ctc import ctc_loss
from fairseq_budget.asr.predictor import TransducerHead, with_start
from fairseq_budget.asr.transducer import transducer_loss
from fairseq_budget.console.table import markdown_table
from fairseq_budget.upstream.compat import load_torchaudio

ENCODER_DIM = 768
COLUMNS = ("loss", "frames", "seconds (median)", "seconds (min-max)", "peak memory (MB)")
Inputs = tuple[TransducerHead, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 250, 500])
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--vocab", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    rows = []
    for frames in args.frames:
        for name in LOSSES:
            shape = (args.batch, frames, args.symbols, args.vocab)
            cells = [name, str(frames), *in_own_process(name, shape, args)]
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    print(f"B={args.batch}, S={args.symbols}, V={args.vocab}, {args.device}, {args.repeat} runs")
    print(markdown_table(rows))


def in_own_process(name: str, shape: tuple[int, ...], args: argparse.Namespace) -> list[str]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (name, shape, args.repeat, args.device))


def measure(name: str, shape: tuple[int, ...], repeat: int, device: str) -> list[str]:
    loss = LOSSES[name]
    try:
        update(loss, make_inputs((2, 20, 5, shape[3]), device))
    except (RuntimeError, AttributeError, OSError) as error:
        return [f"not usable here: {str(error).splitlines()[0]}", "-", "-"]
    inputs = make_inputs(shape, device)
    before, seconds = peak_bytes(device), []
    for _ in range(repeat):
        started = time.perf_counter()
        update(loss, inputs)
        seconds.append(time.perf_counter() - started)
    megabytes = (peak_bytes(device) - before) / 1e6
    spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
    return [f"{statistics.median(seconds):.2f}", spread, f"{megabytes:,.0f}"]


def make_inputs(shape: tuple[int, ...], device: str) -> Inputs:
    batch, frames, symbols, vocab = shape
    torch.manual_seed(0)
    head = TransducerHead(ENCODER_DIM, vocab).to(device)
    encoded = torch.randn(batch, frames, ENCODER_DIM, device=device)
    ends = {
        "num_frames": torch.full((batch,), frames, device=device),
        "num_symbols": torch.full((batch,), symbols, device=device),
    }
    return head, encoded, torch.randint(1, vocab, (batch, symbols), device=device), ends


def update(loss: Callable[..., torch.Tensor], inputs: Inputs) -> None:
    head, encoded, symbols, ends = inputs
    head.zero_grad()
    loss(head, encoded.requires_grad_(), symbols, ends).backward()
    if encoded.is_cuda:
        torch.cuda.synchronize()


def peak_bytes(device: str) -> int:
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def ctc(
    head: TransducerHead, encoded: torch.Tensor, symbols: torch.Tensor, ends: dict[str, Any]
) -> torch.Tensor:
    return ctc_loss(head.simple_am_proj(encoded), symbols, **ends).sum


def pruned(
    head: TransducerHead, encoded: torch.Tensor, symbols: torch.Tensor, ends: dict[str, Any]
) -> torch.Tensor:
    losses = head(encoded, symbols, **ends)
    return 0.5 * losses.simple.sum + losses.pruned.sum


def full(
    head: TransducerHead, encoded: torch.Tensor, symbols: torch.Tensor, ends: dict[str, Any]
) -> torch.Tensor:
    return transducer_loss(all_logits(head, encoded, symbols), symbols, **ends).sum


def torchaudio_full(
    head: TransducerHead, encoded: torch.Tensor, symbols: torch.Tensor, ends: dict[str, Any]
) -> torch.Tensor:
    rnnt_loss = load_torchaudio().functional.rnnt_loss
    logits = all_logits(head, encoded, symbols)
    lengths = ends["num_frames"].int(), ends["num_symbols"].int()
    return rnnt_loss(logits, symbols.int(), *lengths, blank=0, reduction="sum")


def all_logits(head: TransducerHead, encoded: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
    predicted = head.joiner.decoder_proj(head.decoder(with_start(symbols)))
    return head.joiner(head.joiner.encoder_proj(encoded).unsqueeze(2), predicted.unsqueeze(1))


LOSSES = {
    "CTC": ctc,
    "pruned (window 5)": pruned,
    "full lattice, our scan": full,
    "full lattice, torchaudio": torchaudio_full,
}

if __name__ == "__main__":
    main()
