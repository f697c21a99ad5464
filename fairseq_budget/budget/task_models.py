"""The downstream models of "Match to Win" (section 3.2), on the last hidden state."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_budget.frames import SAMPLE_RATE, num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.papers.match_to_win import Task

FRAMES_PER_LABEL = 4  # of CTC's noise: 12.5 labels a second, about as many as English has letters


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


def build_head(task: Task, config: EncoderConfig) -> nn.Module:
    return HEADS[task.head](config.resolved().output_dim, task.num_classes)


def noise_loss(task: Task, logits: Tensor) -> Tensor:
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
