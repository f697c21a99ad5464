"""A recorded update once more, utterance by utterance, to find the one that a run fails on.

(The underscore: no task to import on its own.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
from fairseq.utils import set_torch_seed

from fairseq_budget.audio.io import write_audio
from fairseq_budget.console.progress import Progress
from fairseq_budget.console.table import column
from fairseq_budget.data.audio_dataset import wave_from_bits
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.run.record import Batch, Record, check_same
from fairseq_budget.tasks._evaluation import on_device, open_model


@dataclass(frozen=True)
class Replayed:
    """A whole batch, or one utterance of it alone, as the run heard it."""

    what: str = column("")
    start_s: Optional[float] = column("from (s)", digits=2)
    seconds: float = column(digits=2)
    peak: float = column()
    rms: float = column("RMS")
    loss: float = column()
    gradient_norm: float = column("norm of gradients")


def replay(
    record: Record,
    checkpoint: Union[str, Path],
    *,
    data: Optional[Path] = None,
    audio: Optional[Path] = None,
    device: str = "cpu",
) -> List[Replayed]:
    """A row for each batch of a recorded update, and for its utterances, the steepest first.

    The weights are a checkpoint's; crops, masks, noise and dropout those of the update, in float32.
    Losses are per frame or value, penalties included. data: the manifests' folder, if not the
    run's; audio: a folder for what was heard, as wav. BudgetError for other manifests.
    """
    found = read_pretrained(checkpoint)
    folder = Path(data or found.provenance.get("task", {}).get("data", ""))
    model, criterion, task = open_model(found, str(checkpoint), folder)
    task.load_dataset(record.split)
    dataset = task.dataset(record.split)
    check_same(record, dataset.corpus.name, folder / f"{record.split}.tsv")
    model, criterion = model.to(device).train(), criterion.train()
    model.set_num_updates(record.update - 1)  # as many as were made before it

    def row(what: str, samples: List[Any], start: Optional[int] = None) -> Replayed:
        return _replayed(
            what, on_device(dataset.collater(samples), device), model, criterion, start
        )

    batches = [_utterances(dataset, batch) for batch in record.batches]
    with set_torch_seed(task.cfg.seed + record.update - 1):  # as fairseq seeds an update
        rows = [[row(f"batch {n}", samples)] for n, samples in enumerate(batches, start=1)]
    for number, (batch, samples) in enumerate(zip(record.batches, batches, strict=True)):
        dataset.set_epoch(batch.epoch)
        for sample in Progress(samples, desc=f"batch {number + 1}"):
            name = dataset.corpus.name(sample["id"])
            rows[number].append(row(name, [sample], sample["start"]))
            if audio is not None:
                path = audio / f"batch{number + 1}_line{sample['id']}.wav"
                write_audio(path, sample["source"], SAMPLE_RATE)
    return [r for whole, *alone in rows for r in (whole, *sorted(alone, key=_steepness))]


def _utterances(dataset: Any, batch: Batch) -> List[Dict[str, Any]]:
    dataset.set_epoch(batch.epoch)
    return [dataset[line] for line in batch.lines]


def _replayed(
    what: str, sample: Dict[str, Any], model: Any, criterion: Any, start: Optional[int]
) -> Replayed:
    model.zero_grad()
    total, count, _ = criterion(model, sample)
    loss = total / max(1, int(count))
    loss.backward()
    wave = wave_from_bits(sample["net_input"]["source"])
    gradients = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    return Replayed(
        what,
        None if start is None else start / SAMPLE_RATE,
        sample["audio_seconds"],
        float(wave.abs().max()),
        float(wave.square().mean().sqrt()),
        loss.item(),
        float(torch.stack(gradients).norm()),
    )


def _steepness(row: Replayed) -> float:
    """A key that sorts NaN and infinity first, then the largest gradients."""
    norm = row.gradient_norm
    return -norm if norm < float("inf") else -float("inf")
