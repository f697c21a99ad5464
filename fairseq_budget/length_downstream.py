"""What one update of a downstream model costs, on an encoder that is frozen or trained with it.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", sections 3.2 and 5.2, Table 3 and Figure 3: its six tasks, each at the mean length and the
batch size of its corpus. Models are its own (SpeechBrain's recipes): a mean and a linear layer, two
bidirectional LSTMs of 1,024 units with CTC, or x-vectors, on the encoder's last hidden state. Audio
and labels are noise; float32, as nothing is said of precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR, encoder_macs
from fairseq_budget.frames import SAMPLE_RATE, num_frames, num_frames_after
from fairseq_budget.measure import BYTES_PER_PARAMETER, peak_bytes, timed
from fairseq_budget.memory import activation_bytes
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

FRAMES_PER_LABEL = 4  # of CTC's noise: 12.5 labels a second, about as many as English has letters


@dataclass(frozen=True)
class Task:
    """A downstream task of the paper: its corpus' mean length, its batch, its model."""

    length_s: float
    batch: int
    head: str
    num_classes: int


TASKS = {
    "kws": Task(0.98, 32, "mean", 35),
    "sf": Task(2.73, 8, "ctc", 32),
    "er": Task(4.55, 4, "mean", 4),
    "sid": Task(8.3, 8, "xvector", 1211),
    "asv": Task(8.3, 8, "xvector", 1211),
    "asr": Task(12.69, 6, "ctc", 32),
}


class MeanHead(nn.Module):
    """The mean over time and a linear layer: (B, T, D) -> (B, classes)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def forward(self, states: Tensor) -> Tensor:
        return self.linear(states.mean(1))


class CtcHead(nn.Module):
    """Two bidirectional LSTMs of 1,024 units and a linear layer: (B, T, D) -> (B, T, classes)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, 1024, num_layers=2, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * 1024, num_classes)

    def forward(self, states: Tensor) -> Tensor:
        return self.linear(self.lstm(states)[0])


class XVectorHead(nn.Module):
    """Five dilated convolutions, mean and deviation over time, two layers (X-vectors, table 1)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for out, kernel, dilation in (
            *((512, 5, 1), (512, 3, 2), (512, 3, 3)),
            *((512, 1, 1), (1500, 1, 1)),
        ):
            conv = nn.Conv1d(dim, out, kernel, dilation=dilation, padding="same")
            layers += [conv, nn.LeakyReLU(), nn.BatchNorm1d(out)]
            dim = out
        self.frames = nn.Sequential(*layers)
        self.segment = nn.Linear(2 * dim, 512)
        self.linear = nn.Linear(512, num_classes)

    def forward(self, states: Tensor) -> Tensor:
        x = self.frames(states.transpose(1, 2))  # (B, C, T)
        pooled = torch.cat([x.mean(2), x.std(2)], dim=1)
        return self.linear(F.leaky_relu(self.segment(pooled)))


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "mean": MeanHead,
    "ctc": CtcHead,
    "xvector": XVectorHead,
}


def plan_downstream(name: str, size: str, *, frozen: bool, device: str = "cuda") -> dict[str, Any]:
    """The closed form: the encoder's FLOPs in an update, parameters and memory of training.

    A frozen encoder is run forward only: it holds its weights and, for a while, two outputs of its
    first convolution. The downstream model's own FLOPs and activations are not counted.
    """
    task, config = TASKS[name], EncoderConfig(size=size)
    num_samples = round(task.length_s * SAMPLE_RATE)
    with torch.device("meta"):
        encoder = _num_parameters(SpeechEncoder(config))
        head = _num_parameters(_build_head(task, config))
    passes = 1 if frozen else TRAINING_FACTOR
    flops = passes * FLOPS_PER_MAC * task.batch * encoder_macs(config, num_samples)
    if frozen:
        largest = 4 * config.resolved().conv_dim * num_frames_after(num_samples, 1)
        held = 4 * encoder + 2 * task.batch * largest  # input and output of the norm
    else:
        kept = activation_bytes(config, num_samples, keeps_weights=device == "cpu")
        held = BYTES_PER_PARAMETER * encoder + task.batch * kept
    return {
        "task": name,
        "frozen": frozen,
        "length_s": task.length_s,
        "batch": task.batch,
        "trained_parameters": head if frozen else head + encoder,
        "update_tflops": flops / 1e12,
        "fp32_gib": (held + BYTES_PER_PARAMETER * head) / 2**30,
    }


def measure_downstream(
    name: str, size: str, *, frozen: bool, device: str, num_updates: int = 3
) -> tuple[float, int]:
    """Seconds of the fastest of ``num_updates`` updates after a warm-up, and bytes at the peak."""
    task, config = TASKS[name], EncoderConfig(size=size, encoder_layerdrop=0.0)
    wave = torch.randn(task.batch, round(task.length_s * SAMPLE_RATE), device=device)
    before = peak_bytes(device)
    encoder = SpeechEncoder(config).to(device).train(not frozen).requires_grad_(not frozen)
    head = _build_head(task, config).to(device)
    trained = [p for p in (*encoder.parameters(), *head.parameters()) if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-4)

    def update() -> None:
        adam.zero_grad()
        with torch.set_grad_enabled(not frozen):
            states = encoder(wave).last_hidden_state
        _loss(task, head(states)).backward()
        adam.step()

    update()
    fastest = min(timed(update, device) for _ in range(num_updates))
    return fastest, peak_bytes(device) - before


def _build_head(task: Task, config: EncoderConfig) -> nn.Module:
    return HEADS[task.head](config.resolved().output_dim, task.num_classes)


def _loss(task: Task, logits: Tensor) -> Tensor:
    """The task's loss against random labels."""
    if task.head != "ctc":
        labels = torch.randint(task.num_classes, (task.batch,), device=logits.device)
        return F.cross_entropy(logits, labels)
    frames = num_frames(round(task.length_s * SAMPLE_RATE))
    num_labels = frames // FRAMES_PER_LABEL
    labels = torch.randint(1, task.num_classes, (task.batch, num_labels), device=logits.device)
    return F.ctc_loss(
        logits.log_softmax(2).transpose(0, 1),  # (T, B, classes)
        labels,
        torch.full((task.batch,), frames),
        torch.full((task.batch,), num_labels),
    )


def _num_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
