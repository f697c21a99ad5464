"""The base of pre-training and fine-tuning: their folder and batches."""

import logging
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple

from fairseq.tasks import FairseqTask

from fairseq_budget.corpus.column import Column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.packed import open_corpus, pack_path
from fairseq_budget.data.batches import Limits, UpdateAudio
from fairseq_budget.data.epoch_iterator import EpochBatches, default_workers
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE, hours
from fairseq_budget.run.interrupt import interrupt
from fairseq_budget.run.provenance import history
from fairseq_budget.run.recovery import read_checkpoint, starting_point
from fairseq_budget.tasks._counted import Counted
from fairseq_budget.tasks._heard import Heard
from fairseq_budget.tasks._introduction import Forecast, introduction, num_updates
from fairseq_budget.tasks._logs import bring_to_host
from fairseq_budget.tasks._not_finite import FiniteNumbers, detach_detector

logger = logging.getLogger(__name__)


class BudgetTask(FairseqTask):
    """Opens ``cfg.data``; its datasets are ``BudgetAudioDataset``s.

    from_checkpoint: fairseq opens a finished model, whose folders need not be here any more.
    """

    def __init__(self, cfg: Any, from_checkpoint: bool = False) -> None:
        super().__init__(cfg)
        if not from_checkpoint:
            self._check_data()
        self._has_begun = False
        self._heard, self._counted = Heard(self._root()), Counted()
        self._numbers = FiniteNumbers(self._root(), self._heard)
        self._update = 0
        self._train_batches: Optional[EpochBatches] = None
        self._forecast: Optional[Forecast] = None

    def _check_data(self) -> None:
        if not Path(self.cfg.data).is_dir():
            raise BudgetError(
                f"task.data={self.cfg.data!r} is no folder; {_make_manifests(self.cfg.data)}"
            )

    def _root(self) -> Any:
        """fairseq's whole config; empty where the task was made without one."""
        return self.cfg._get_root() if hasattr(self.cfg, "_get_root") else {}

    def open_corpus(self, split: str) -> Corpus:
        """The manifest or pack of a split, whose files are there."""
        manifest = Path(self.cfg.data) / f"{split}.tsv"
        if not manifest.is_file() and not pack_path(manifest).is_file():
            raise BudgetError(f"{manifest} does not exist; {_make_manifests(self.cfg.data)}")
        corpus = open_corpus(self.cfg.data, split)
        corpus.check_files()
        return corpus

    def add_dataset(self, split: str, dataset: Any, columns: Sequence[Column] = ()) -> None:
        """Log what the split holds, and what the limits drop and crop; keep it for fairseq.

        columns: those that it learns from, whose hashes checkpoints hold. Raises BudgetError if
        most of the audio would be dropped.
        """
        total, kept = dataset.corpus.num_samples, dataset.num_samples
        cropped = dataset.num_cropped
        left_out = len(dataset) - dataset.num_kept
        logger.info(
            f"{split}: {dataset.num_kept:,} utterances, {hours(kept):.2f} h; "
            f"{left_out:,} left out as shorter than task.min_sample_size={self.cfg.min_sample_size}"
        )
        dropped = (
            f"utterances shorter than {dataset.min_size / SAMPLE_RATE:g} s "
            f"(task.min_sample_size={self.cfg.min_sample_size}) are dropped: "
            f"{1 - kept / total:.2%} of {split}"
        )
        if 2 * kept < total:
            raise BudgetError(
                f"{dropped}; set task.min_sample_size=0, or join them with `budget-manifest cut`"
            )
        if left_out:
            logger.warning(dropped)
        if cropped:
            logger.warning(
                f"task.max_sample_size={dataset.max_size} ({dataset.max_size / SAMPLE_RATE:g} s) "
                f"crops {cropped / total:.2%} of {split} away, "
                "another part in each epoch; null crops nothing"
            )
        hashes = {column.name: column.sha256 for column in columns}
        history.add_data(split, dataset.corpus.hash, hashes)
        self.datasets[split] = dataset

    def get_batch_iterator(
        self,
        dataset: Any,
        max_tokens: Optional[int] = None,
        max_sentences: Optional[int] = None,
        required_batch_size_multiple: int = 1,
        num_shards: int = 1,
        num_workers: int = 0,
        data_buffer_size: int = 0,
        epoch: int = 1,
        skip_remainder_batch: bool = False,
        disable_iterator_cache: bool = False,
        shard_id: int = 0,
        **unused: Any,
    ) -> EpochBatches:
        """Batches that are computed one by one; one iterator serves all epochs of a dataset."""
        cached = self.dataset_to_epoch_iter.get(dataset)
        if cached is not None and not disable_iterator_cache:
            return cached
        dataset.set_epoch(epoch)
        iterator = EpochBatches(
            dataset,
            dataset.batches(Limits(max_tokens, max_sentences, required_batch_size_multiple)),
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=default_workers(num_shards) if num_workers < 0 else num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            skip_remainder=skip_remainder_batch,
            corpus_hash=dataset.corpus.hash,
        )
        self.dataset_to_epoch_iter[dataset] = iterator
        self._train_batches = self._train_batches or iterator  # fairseq asks for this one first
        return iterator

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):  # type: ignore[no-untyped-def]
        ignore_grad = ignore_grad or "is_filler" in sample
        self._update = update_num
        self._heard.add(sample, model, criterion, update_num)
        step = partial(
            super().train_step, sample, model, criterion, optimizer, update_num, ignore_grad
        )
        if detach_detector(model):
            step = partial(self._numbers.rerun, step, sample, model, optimizer)
        loss, sample_size, log = _without_filler(sample, *step())
        log.update(interrupt.counts())
        return loss, sample_size, log

    def valid_step(self, sample, model, criterion):  # type: ignore[no-untyped-def]
        self._heard.add(sample, model, criterion, None)
        return _without_filler(sample, *super().valid_step(sample, model, criterion))

    def reduce_metrics(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        """Logs are of all processes: what stops one stops all, after the same update.

        What they hold of the device is read at once, and replaced: each value would wait for it.
        """
        bring_to_host(logging_outputs)
        self._numbers.check(logging_outputs)
        super().reduce_metrics(logging_outputs, criterion)
        if not criterion.training:
            return
        if self._forecast is not None:
            self._forecast.add(self._update + 1)
        if interrupt.agree(logging_outputs):
            self._root().dataset.disable_validation = True  # it may take long; it is due later
            self.stop("interrupted")
        if hasattr(criterion, "what_counts"):  # fairseq's own criterions do not count
            self._count(logging_outputs, criterion)

    def stop(self, reason: str) -> None:
        """End the run after this update, with a checkpoint: fairseq asks its config each time."""
        optimization = self._root().optimization
        if optimization.max_update != self._update + 1:
            logger.info(reason)
            optimization.max_update = self._update + 1

    def _count(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        counted, heard = (
            float(sum(log[key] for log in logging_outputs)) for key in ("num_counted", "num_heard")
        )
        self._counted.add(counted, heard, what=criterion.what_counts, cure=criterion.cure)
        root = self._root()
        if "optimization" in root and self._update + 1 == root.optimization.max_update:
            self._counted.judge()

    def begin_epoch(self, epoch: int, model: Any) -> None:
        super().begin_epoch(epoch, model)
        self._counted.judge()
        if not self._has_begun:
            self._has_begun = True
            self.begin_training(model)
            model.compile_parts()
            self._introduce(model)

    def _introduce(self, model: Any) -> None:
        root, heard = self._root(), self.update_audio()
        for line in introduction(root, model, heard, self._update):
            logger.info(line)
        self._forecast = Forecast(num_updates(root, model, heard))

    def begin_training(self, model: Any) -> None:
        """Once, after fairseq has read its checkpoint: take up the task's state, which it does not.

        (fairseq's meters are no place for counts: they are lost at an epoch's end, and a run that
        was resumed saves those that it was resumed with.)
        """
        interrupt.listen()
        root, state = self._root(), self._restored_checkpoint()
        if state is None:
            return
        if not root.checkpoint.reset_meters:
            self.load_state_dict(deepcopy(state.get("task_state") or {}))  # off the mapped file
        self._update = state["optimizer_history"][-1]["num_updates"]
        if 0 < root.optimization.max_update <= self._update:
            self.leave(f"all {root.optimization.max_update:,} updates are made")

    def update_audio(self) -> UpdateAudio:
        """Audio of an update, on average over the batches of this epoch."""
        assert self._train_batches is not None  # trained on: this is the first epoch's beginning
        root, batches = self._root(), self._train_batches.batches
        num_batches = root.distributed_training.distributed_world_size
        num_batches *= root.optimization.update_freq[-1]
        return batches.update_audio(num_batches, pad=getattr(self.cfg, "pad_audio", True))

    def _restored_checkpoint(self) -> Optional[Dict[str, Any]]:
        """The checkpoint that this run goes on from, its tensors on disk; None if it begins."""
        root = self._root()
        if "checkpoint" not in root or root.checkpoint.reset_optimizer:
            return None
        start = starting_point(root.checkpoint)
        return None if start is None or start.weights_only else read_checkpoint(start.path)

    def leave(self, reason: str) -> NoReturn:
        """End a process that a finished run was started again in: fairseq would train on."""
        logger.info(f"{reason}: nothing to do")
        raise SystemExit(0)

    def max_positions(self) -> None:
        return None  # batches are made here, and say what does not fit


def _without_filler(
    sample: Dict[str, Any], loss: Any, sample_size: Any, log: Dict[str, Any]
) -> Tuple[Any, Any, Dict[str, Any]]:
    """Loss, sample size and log of a batch; a filler (see EpochBatches) counts as nothing."""
    if "is_filler" not in sample:
        return loss, sample_size, log
    return loss, 0 * sample_size, {key: 0 * value for key, value in log.items()}


def _make_manifests(folder: str) -> str:
    return f"make it with `budget-manifest --trainpref AUDIO --valid-percent 5 --destdir {folder}`"
