"""What a process heard in the update at hand, and the record of it where the run goes wrong."""

from typing import Any, Dict, List, Optional, Tuple

from fairseq_budget.run.record import Batch, Record, write_record

Sample = Dict[str, Any]


class Heard:
    """The batches of an update, or the last one of validation; ``root``: fairseq's config."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._update: Optional[int] = None
        self.batches: List[Tuple[Sample, Any, Any]] = []  # with the model and the criterion

    @property
    def when(self) -> str:
        return "validation" if self._update is None else f"update {self._update + 1}"

    def add(self, sample: Sample, model: Any, criterion: Any, update: Optional[int]) -> None:
        """A batch of ``update`` (from 0); None: of validation."""
        if update is None or update != self._update:
            self._update, self.batches = update, []
        self.batches.append((sample, model, criterion))

    def record(self, said: str) -> str:
        """Write the update down for a replay; a sentence that says how, "" of validation."""
        if self._update is None or "checkpoint" not in self._root:
            return ""
        batches = [
            Batch(sample["epoch"], sample["id"].tolist(), sample["utterances"])
            for sample, _, _ in self.batches
        ]
        record = Record(self._update + 1, said, self._root.dataset.train_subset, batches)
        rank = self._root.distributed_training.distributed_rank
        path = write_record(self._root.checkpoint.save_dir, record, rank)
        return f". To look at its batches: budget-report replay {path}"
