"""Encoders as ONNX: one file that onnxruntime computes, without torch and without this package."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write
from fairseq_budget.pretrained.graph import described, hearing_of, traced
from fairseq_budget.pretrained.portable import Pretrained

ONNX_FILE = "model.onnx"
INPUTS = ("source", "padding_mask")


def save_onnx(folder: str | Path, checkpoint: Pretrained) -> None:
    """Write ``model.onnx``, for any number of utterances and samples (see ``Hearing``).

    Its metadata ``symbols`` is a JSON list of what the classes of a recogniser stand for. Raises
    BudgetError without the packages, and for models that are no such graph.
    """
    if find_spec("onnxscript") is None:
        raise BudgetError(
            "--to onnx needs the packages onnx and onnxscript: pip install 'fairseq_budget[onnx]'"
        )
    hearing = hearing_of(checkpoint)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # tells of packages for images
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own internals
        program = torch.onnx.export(
            traced(hearing), input_names=INPUTS, output_names=hearing.outputs, verbose=False
        )
    assert program is not None  # which it is of the older exporter alone
    program.model.metadata_props.update(described(checkpoint))
    with atomic_write(Path(folder) / ONNX_FILE, "wb") as file:
        file.write(program.model_proto.SerializeToString())
