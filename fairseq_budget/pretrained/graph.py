"""What is heard with a checkpoint as one graph, and as the file that `torch.export.load` reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.fx.experimental._config as export_settings
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import Graph

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.frames import RECEPTIVE_FIELD
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.heads import greedy_path
from fairseq_budget.pretrained.portable import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC, CTC_HEAD

TORCH_FILE = "model.pt2"
SYMBOLS = "symbols"  # of a file's metadata: a JSON list
_TRACED = (2, 8000)  # utterances and samples of the batch that the graph is traced with


def save_torch(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write ``model.pt2``, for any number of utterances and samples (see ``Hearing``).

    Its extra file ``symbols`` is a JSON list of what the classes of a recogniser stand for. Raises
    BudgetError for models that are no such graph.
    """
    program = traced(hearing_of(checkpoint))
    _drop_assertions(program.graph)
    with atomic_write(Path(folder) / TORCH_FILE, "wb") as file:
        torch.export.save(program, file, extra_files=described(checkpoint))


def _drop_assertions(graph: Graph) -> None:
    """So that one utterance and one frame are heard: the tracer asserts of both that they are not.

    Nothing is computed otherwise where they are (ONNX's exporter drops these nodes, too).
    """
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten._assert_scalar.default):
        graph.erase_node(node)
    graph.eliminate_dead_code()


def described(checkpoint: Pretrained) -> dict[str, str]:
    """The metadata of a graph's file: the symbols of a CTC recogniser, where they are known."""
    if checkpoint.model != CTC or checkpoint.vocabulary is None:
        return {}
    return {SYMBOLS: json.dumps(checkpoint.vocabulary.symbols)}


class Hearing(nn.Module):
    """An encoder, and the head of a CTC recogniser, as a graph has them: tensors in, tensors out.

    In: ``source`` (B, S) float32 at 16 kHz, ``padding_mask`` (B, S) bool, True = padding, each
    row's at its end. Out, by the names in ``outputs``: ``hidden_states`` (L+1, B, K, D), their
    ``frame_padding`` (B, K) bool and ``lengths`` (B,) int64; K follows from the audio, not only
    from its length, where CIF finds the segments. If the model upsamples, ``output`` (B, T, D) and
    its ``output_lengths`` (B,). Of a recogniser ``logits`` (B, T, V) at the rate of its output, and
    ``ids`` (B, T) int64 (see ``greedy_path``).
    """

    def __init__(self, encoder: SpeechEncoder, head: nn.Module | None, blank: int) -> None:
        super().__init__()
        self.encoder, self.head, self.blank = encoder, head, blank
        self.outputs = ["hidden_states", "frame_padding", "lengths"]
        self.outputs += ["output", "output_lengths"] if encoder.upsampler is not None else []
        self.outputs += ["logits", "ids"] if head is not None else []

    def forward(self, source: Tensor, padding_mask: Tensor) -> tuple[Tensor, ...]:
        out = self.encoder(source, (~padding_mask).sum(1))
        frame_padding, output_padding = out.padding_mask, out.output_padding
        found = [torch.stack(out.hidden_states), frame_padding, (~frame_padding).sum(1)]
        if self.encoder.upsampler is not None:
            found += [out.output, (~output_padding).sum(1)]
        if self.head is not None:
            logits = self.head(out.output)
            found += [logits, greedy_path(logits, output_padding, self.blank)]
        return tuple(found)


def hearing_of(checkpoint: Pretrained) -> Hearing:
    """What is heard with a checkpoint, in eval mode; BudgetError where a graph cannot know it."""
    if checkpoint.encoder.subsample == "segments":
        raise BudgetError(
            "subsample=segments: the ends of its segments are given, and a graph hears waveforms "
            "alone: expected none, average, conv or cif; export without --to"
        )
    blank = 0 if checkpoint.vocabulary is None else checkpoint.vocabulary.blank
    return Hearing(checkpoint.build_encoder(), _head(checkpoint), blank).eval()


def traced(hearing: Hearing) -> ExportedProgram:
    """Its graph, for any number of utterances, and of samples from one frame on."""
    if not hasattr(export_settings, "backed_size_oblivious"):
        raise BudgetError(
            f"torch {torch.__version__} traces no graph for batches of all sizes: pip install -U "
            "torch, or export without --to"
        )
    sizes = {0: Dim("batch"), 1: Dim("samples", min=RECEPTIVE_FIELD)}
    padding = torch.zeros(_TRACED, dtype=torch.bool)
    padding[1, _TRACED[1] // 2 :] = True
    # else the graph is for sizes alone that compare with each other, and with 1, as the traced do
    with (
        torch.no_grad(),
        export_settings.patch(  # type: ignore[attr-defined]
            backed_size_oblivious=True
        ),
    ):
        return torch.export.export(
            hearing,
            (torch.zeros(_TRACED), padding),
            dynamic_shapes=(sizes, sizes),
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def _head(checkpoint: Pretrained) -> nn.Module | None:
    if checkpoint.model != CTC:
        return None
    weight, bias = (checkpoint.state[CTC_HEAD + name].float() for name in ("weight", "bias"))
    head = nn.Linear(*weight.T.shape)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head
