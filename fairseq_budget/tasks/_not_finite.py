"""NaN and inf in training: found where they begin, and told in one line with what to do.

fairseq looks at the norm of the gradients only, and then runs the update again under its
`NanDetector`, whose hooks cannot look at what our modules return. It does not see a loss that is
NaN with finite gradients. Overflow in float16 is no fault: fairseq halves its loss scale.
"""

import contextlib
import math
from functools import partial
from typing import Any, Callable, Dict, List, NoReturn

import torch
from fairseq.nan_detector import NanDetector

from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.nn.nonfinite import Fault, find_fault
from fairseq_budget.run.recovery import last_good
from fairseq_budget.tasks._heard import Heard, Sample

NUM_SHOWN = 5  # utterances, the loudest first
TOO_LOUD = 100.0  # samples: 1 is full scale


class FiniteNumbers:
    """Judges the loss of what was `heard` last; ``root``: fairseq's config."""

    def __init__(self, root: Any, heard: Heard) -> None:
        self._root = root
        self._heard = heard

    def rerun(self, step: Callable[[], Any], sample: Sample, model: Any, optimizer: Any) -> Any:
        """``step()`` of a failed update, to find out why. Processes do not wait for each other."""
        done: List[Any] = []

        def compute() -> Any:
            done.extend(step())
            return done[0]

        with getattr(model, "no_sync", contextlib.nullcontext)():
            fault = find_fault(model, compute, batch_size=sample["nsentences"])
        if fault is not None:
            optimizer.zero_grad()  # or the detector prints them all
            self._refuse(fault, sample)
        return done

    def check(self, logs: List[Dict[str, Any]]) -> None:
        """Raise BudgetError if the loss of what was heard last, by all processes, is no number."""
        if math.isfinite(float(sum(log["loss"] for log in logs))):
            return
        for sample, model, criterion in self._heard.batches:
            compute = partial(_loss, criterion, model, sample)
            with torch.no_grad():
                fault = find_fault(model, compute, batch_size=sample["nsentences"])
            if fault is not None:
                self._refuse(fault, sample)
        raise BudgetError(
            f"{self._heard.when}: the loss is NaN or infinite, but not of what this process hears: "
            f"another one says where. {self._cure(0)}"
        )

    def _refuse(self, fault: Fault, sample: Sample) -> NoReturn:
        peaks = wave_from_bits(sample["net_input"]["source"]).abs().amax(1).tolist()
        rows = sorted(fault.rows or range(len(peaks)), key=lambda row: -peaks[row])
        shown = ", ".join(
            f"{sample['utterances'][row]} from {sample['starts'][row] / SAMPLE_RATE:.2f} s "
            f"(peak {peaks[row]:.2g})"
            for row in rows[:NUM_SHOWN]
        )
        more = f" and {len(rows) - NUM_SHOWN} more" if len(rows) > NUM_SHOWN else ""
        said = f"{self._heard.when}: {fault.where} is NaN or infinite, in {shown}{more}"
        raise BudgetError(f"{said}. {self._cure(max(peaks))}{self._heard.record(said)}")

    def _cure(self, peak: float) -> str:
        if "checkpoint" not in self._root:  # a model is evaluated, not trained
            return ""
        folder = self._root.checkpoint.save_dir
        good = last_good(folder)
        start = (
            f"The last good checkpoint is {good}" if good else f"{folder} has no good checkpoint"
        )
        return f"{start}. Likely causes: {'; '.join(self._causes(peak))}"

    def _causes(self, peak: float) -> List[str]:
        root, causes = self._root, []
        if peak > TOO_LOUD:
            causes.append(
                "a recording that is far too loud (full scale is 1): write it again, or leave it "
                "out of the manifest"
            )
        causes.append(f"too high a rate (optimization.lr={list(root.optimization.lr)})")
        if not root.optimization.clip_norm:
            causes.append("gradients without a bound (optimization.clip_norm=0)")
        if root.common.fp16:
            causes.append("float16's small range (common.bf16=true has float32's)")
        return causes


def _loss(criterion: Any, model: Any, sample: Sample) -> Any:
    return criterion(model, sample)[0]


def detach_detector(model: Any) -> bool:
    """Whether fairseq watches the model; its hooks are taken off, for they cannot look at ours."""
    watched = False
    for module in model.modules() if model.encoder._backward_hooks else ():
        for hooks in (module._forward_hooks, module._backward_hooks):
            for key, hook in list(hooks.items()):
                if isinstance(getattr(hook, "__self__", None), NanDetector):
                    watched = True
                    del hooks[key]
    return watched
