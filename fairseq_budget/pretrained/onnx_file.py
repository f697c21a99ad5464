"""Encoders as ONNX: one file that onnxruntime computes, without torch and without this package."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import FRAME_SHIFT, RECEPTIVE_FIELD
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC, CTC_HEAD
from fairseq_budget.pretrained.weights import require_plain

ONNX_FILE = "model.onnx"
INPUTS, OUTPUTS = ("source", "padding_mask"), ("hidden_states", "frame_padding", "logits")
LEAST_SAMPLES = RECEPTIVE_FIELD + FRAME_SHIFT  # two frames: of one, the graph has no axis
_TRACED = (2, 4000)  # utterances and samples of the batch that the graph is traced with


def save_onnx(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write ``model.onnx``, for any number of utterances and samples.

    Inputs: ``source`` (B, S) float32 at 16 kHz, ``padding_mask`` (B, S) bool, True = padding, each
    row's at its end. Outputs: ``hidden_states`` (L+1, B, T, D), ``frame_padding`` (B, T) bool, and
    of a CTC recogniser ``logits`` (B, T, V). Raises BudgetError without the packages, and for
    models that are no such graph.
    """
    if find_spec("onnxscript") is None:
        raise BudgetError(
            "--to onnx needs the packages onnx and onnxscript: pip install 'fairseq_budget[onnx]'"
        )
    require_plain(checkpoint.encoder.resolved(), "ONNX")
    module = _Hearing(checkpoint.build_encoder(), _head(checkpoint)).eval()
    sizes = {
        0: torch.export.Dim("batch"),
        1: torch.export.Dim("samples", min=LEAST_SAMPLES),
    }
    padding = torch.zeros(_TRACED, dtype=torch.bool)
    padding[1, _TRACED[1] // 2 :] = True
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # tells of packages for images
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own internals
        program = torch.onnx.export(
            module,
            (torch.zeros(_TRACED), padding),
            dynamo=True,
            dynamic_shapes=(sizes, sizes),
            input_names=INPUTS,
            output_names=OUTPUTS[: 2 if module.head is None else 3],
            verbose=False,
        )
    assert program is not None  # which it is of the older exporter alone
    with atomic_write(Path(folder) / ONNX_FILE, "wb") as file:
        file.write(program.model_proto.SerializeToString())


class _Hearing(nn.Module):
    def __init__(self, encoder: SpeechEncoder, head: nn.Module | None) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, source: Tensor, padding_mask: Tensor) -> tuple[Tensor, ...]:
        out = self.encoder(source, (~padding_mask).sum(1))
        found = torch.stack(out.hidden_states), out.padding_mask
        return found if self.head is None else (*found, self.head(out.output))


def _head(checkpoint: Pretrained) -> nn.Module | None:
    if checkpoint.model != CTC:
        return None
    weight, bias = (checkpoint.state[CTC_HEAD + name].float() for name in ("weight", "bias"))
    head = nn.Linear(*weight.T.shape)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head
