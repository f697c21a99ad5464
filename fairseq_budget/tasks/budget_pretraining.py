"""The one pre-training task: a manifest in, batches of waveforms and masks out."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II, MISSING

from fairseq_budget.corpus import Corpus
from fairseq_budget.data.audio_dataset import (
    NUM_SPECIAL_CLASSES,
    BudgetAudioDataset,
    Masking,
)
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.labels.label_file import Labels, open_labels, read_info

logger = logging.getLogger(__name__)


@dataclass
class BudgetPretrainingConfig(FairseqDataclass):
    data: str = field(default=MISSING, metadata={"help": "folder with {split}.tsv manifests"})
    user_dir: Optional[str] = field(
        default=None, metadata={"help": "the plug-in; presets hand it on to common.user_dir"}
    )
    max_sample_size: Optional[int] = field(
        default=250000, metadata={"help": "longer utterances are cropped at random, in samples"}
    )
    min_sample_size: int = field(
        default=0, metadata={"help": "shorter utterances are left out, in samples"}
    )
    pad_audio: bool = field(
        default=False, metadata={"help": "pad batches instead of cropping to their shortest"}
    )
    labels: Optional[str] = field(
        default=None, metadata={"help": "label files to learn, {split}.{labels}: 'km' for HuBERT"}
    )
    mask_prob: float = field(default=0.8, metadata={"help": "share of frames covered by spans"})
    mask_length: int = field(default=10, metadata={"help": "length of a span, in frames"})
    seed: int = II("common.seed")
    max_update: int = II("optimization.max_update")


@register_task("budget_pretraining", dataclass=BudgetPretrainingConfig)
class BudgetPretrainingTask(FairseqTask):
    """Loads manifests; counts the audio heard, through interruptions; estimates the time left."""

    cfg: BudgetPretrainingConfig

    def __init__(self, cfg: BudgetPretrainingConfig) -> None:
        super().__init__(cfg)
        if not Path(cfg.data).is_dir():
            raise BudgetError(f"task.data={cfg.data!r} is no folder; {_make_manifests(cfg.data)}")
        self.audio_hours = 0.0
        self._update = 0
        self._clock: Optional[Tuple[int, float]] = None  # this process' first (update, time)

    def load_dataset(self, split: str, **unused: Any) -> None:
        manifest = Path(self.cfg.data) / f"{split}.tsv"
        if not manifest.is_file():
            raise BudgetError(f"{manifest} does not exist; {_make_manifests(self.cfg.data)}")
        corpus = Corpus.open(manifest)
        corpus.check_files()
        dataset = BudgetAudioDataset(
            corpus,
            seed=self.cfg.seed,
            max_sample_size=self.cfg.max_sample_size,
            min_sample_size=self.cfg.min_sample_size,
            pad_audio=self.cfg.pad_audio,
            masking=Masking(self.cfg.mask_prob, self.cfg.mask_length),
            labels=self._open_labels(split, corpus),
        )
        hours = corpus.sizes[dataset.kept].sum() / SAMPLE_RATE / 3600
        left_out = len(corpus) - len(dataset.kept)
        logger.info(
            f"{split}: {len(dataset.kept):,} utterances, {hours:.2f} h; {left_out:,} left out as "
            f"shorter than task.min_sample_size={self.cfg.min_sample_size}"
        )
        self.datasets[split] = dataset

    def _open_labels(self, split: str, corpus: Corpus) -> Optional[Labels]:
        if self.cfg.labels is None:
            return None
        labels = open_labels(self.cfg.data, split, self.cfg.labels, corpus=corpus)
        logger.info(f"{split}: labels of {labels.num_clusters} clusters at {labels.rate} Hz")
        return labels

    def num_classes(self) -> int:
        """Clusters of the label files, and fairseq's four special symbols."""
        if self.cfg.labels is None:
            raise BudgetError("this model learns labels: set task.labels=km")
        return read_info(Path(self.cfg.data)).num_clusters + NUM_SPECIAL_CLASSES

    def get_batch_iterator(
        self, dataset: Any, max_tokens: Optional[int] = None, **rest: Any
    ) -> Any:
        longest = int(dataset.sizes[dataset.kept].max())
        if max_tokens is not None and max_tokens < longest:
            raise BudgetError(
                f"dataset.max_tokens={max_tokens} (samples in a batch) is less than an utterance "
                f"of {longest}: raise it, or lower task.max_sample_size={self.cfg.max_sample_size}"
            )
        return super().get_batch_iterator(dataset, max_tokens=max_tokens, **rest)

    @property
    def target_dictionary(self) -> None:
        return None

    def max_positions(self) -> None:
        return None  # longer utterances are cropped, never refused

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Take up the count of an interrupted run: fairseq restores meters, not task states."""
        super().begin_epoch(epoch, model)
        meter = metrics.get_meter("default", "audio_hours")
        if meter is not None:
            self.audio_hours = float(meter.val)

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):  # type: ignore[no-untyped-def]
        self._update = update_num
        return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)

    def reduce_metrics(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if not criterion.training:
            return
        self.audio_hours += float(sum(log["audio_seconds"] for log in logging_outputs)) / 3600
        # weight 0: show the latest value, not an average
        metrics.log_scalar("audio_hours", self.audio_hours, weight=0, round=3, priority=900)
        eta = self._hours_left()
        if eta is not None:
            metrics.log_scalar("eta_hours", eta, weight=0, round=3, priority=910)

    def _hours_left(self) -> Optional[float]:
        if self._clock is None:  # the first update pays for start-up: measure from its end
            self._clock = (self._update, time.monotonic())
        first, since = self._clock
        done = self._update - first
        if self.cfg.max_update <= 0 or done == 0:
            return None
        seconds_per_update = (time.monotonic() - since) / done
        return seconds_per_update * max(0, self.cfg.max_update - self._update - 1) / 3600

    def state_dict(self) -> Dict[str, Any]:
        return {"audio_hours": self.audio_hours}


def _make_manifests(folder: str) -> str:
    return f"make it with `budget-manifest --trainpref AUDIO --valid-percent 5 --destdir {folder}`"
