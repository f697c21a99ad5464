"""Cost of an update of a downstream model, on an encoder that is frozen or trained with it.

"Match to win: analysing sequences lengths for efficient self-supervised learning in speech and
audio", sections 3.2 and 5.2, Table 3 and Figure 3: its six tasks, each at the mean length and the
batch size of its corpus. Models are its own (SpeechBrain's recipes): a mean and a linear layer, two
bidirectional LSTMs of 1,024 units with CTC, or x-vectors, on the encoder's last hidden state. Audio
and labels are noise; float32, as nothing is said of precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from fairseq_budget.budget.families import find_encoder
from fairseq_budget.budget.flops import FLOPS_PER_MAC, TRAINING_FACTOR, encoder_macs
from fairseq_budget.budget.memory import BYTES_PER_PARAMETER, activation_bytes, widest_values
from fairseq_budget.budget.parameters import num_trainable
from fairseq_budget.budget.task_models import build_head, noise_loss
from fairseq_budget.budget.timing import peak_bytes, timed
from fairseq_budget.console.table import column
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.shapes import shapes_only
from fairseq_budget.papers.match_to_win import TASKS


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """Downstream training of a task; what was measured stands here where it was asked for."""

    task: str
    frozen: bool
    length_s: float = column("s")
    batch: int
    trained_parameters: int = column("trained")
    update_tflops: float = column("TFLOP an update")
    fp32_gib: float = column("GiB fp32")
    fp32_s: float | str | None = column("s fp32, measured", default=None, optional=True)
    fp32_peak_gib: float | str | None = column("GiB fp32, measured", default=None, optional=True)


def plan_downstream(name: str, size: str, *, frozen: bool, device: str = "cuda") -> TaskRow:
    """The closed form: the encoder's FLOPs in an update, parameters and memory of training.

    A frozen encoder is run forward only: it holds its weights and, for a while, input and output of
    an activation in its front-end, where that is widest. The downstream model's own FLOPs and
    activations are not counted.
    """
    task, config = TASKS[name], find_encoder(size)
    num_samples = round(task.length_s * SAMPLE_RATE)
    with shapes_only():
        encoder = num_trainable(SpeechEncoder(config))
        head = num_trainable(build_head(task, config))
    passes = 1 if frozen else TRAINING_FACTOR
    flops = passes * FLOPS_PER_MAC * task.batch * encoder_macs(config, num_samples)
    if frozen:
        held = 4 * encoder + 2 * task.batch * 4 * widest_values(config, num_samples)
    else:
        kept = activation_bytes(config, num_samples, keeps_weights=device == "cpu")
        held = BYTES_PER_PARAMETER * encoder + task.batch * kept
    return TaskRow(
        task=name,
        frozen=frozen,
        length_s=task.length_s,
        batch=task.batch,
        trained_parameters=head if frozen else head + encoder,
        update_tflops=flops / 1e12,
        fp32_gib=(held + BYTES_PER_PARAMETER * head) / 2**30,
    )


def measure_downstream(
    name: str, size: str, *, frozen: bool, device: str, num_updates: int = 3
) -> tuple[float, int]:
    """Seconds of the fastest of ``num_updates`` updates after a warm-up, and bytes at the peak."""
    task, config = TASKS[name], replace(find_encoder(size), encoder_layerdrop=0.0)
    wave = torch.randn(task.batch, round(task.length_s * SAMPLE_RATE), device=device)
    before = peak_bytes(device)
    encoder = SpeechEncoder(config).to(device).train(not frozen).requires_grad_(not frozen)
    head = build_head(task, config).to(device)
    trained = [p for p in (*encoder.parameters(), *head.parameters()) if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-4)

    def update() -> None:
        adam.zero_grad()
        with torch.set_grad_enabled(not frozen):
            states = encoder(wave).last_hidden_state
        noise_loss(task, head(states)).backward()
        adam.step()

    update()
    fastest = min(timed(update, device) for _ in range(num_updates))
    return fastest, peak_bytes(device) - before
