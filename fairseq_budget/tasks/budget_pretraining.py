"""The one pre-training task: a manifest in, batches of waveforms and masks out."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import register_task
from omegaconf import II, MISSING

from fairseq_budget.audio.bad_share import MAX_BAD_SHARE
from fairseq_budget.budget.machine import measured_peak_flops
from fairseq_budget.budget.meter import BudgetMeter
from fairseq_budget.budget.schedule import check_schedule
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import Labels, label_sets, open_labels, read_info
from fairseq_budget.corpus.segments import Segmentation, open_segments
from fairseq_budget.data.audio_dataset import (
    NUM_SPECIAL_CLASSES,
    BudgetAudioDataset,
)
from fairseq_budget.data.bad_audio import BadAudio
from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.models.distilhubert import adopt_teacher
from fairseq_budget.nn.config import ResolvedConfig
from fairseq_budget.nn.masking import Masking
from fairseq_budget.report.alike import first_split
from fairseq_budget.tasks._base import BudgetTask
from fairseq_budget.tasks._guessing import Guessing
from fairseq_budget.tasks._progress import Progress
from fairseq_budget.tasks._trouble import Trouble, gradient_norm

ON_TROUBLE = ("warn", "stop")
logger = logging.getLogger(__name__)


@dataclass
class BudgetPretrainingConfig(FairseqDataclass):
    """Fields of ``task._name=budget_pretraining``."""

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
    labels: Any = field(
        default=None,
        metadata={"help": "label files to learn, {split}.{labels}: km for HuBERT, or [km,km2]"},
    )
    segments: Optional[str] = field(
        default=None,
        metadata={"help": "segmentation, {split}.{segments}: to pool by, or to guide CIF ('seg')"},
    )
    mask_prob: float = field(
        default=0.8, metadata={"help": "share of frames covered by spans; 0: none, to distil"}
    )
    mask_length: int = field(default=10, metadata={"help": "length of a span, in frames"})
    equal_masks: bool = field(
        default=False,
        metadata={"help": "fairseq's rule: of every utterance, as many frames as of its mates"},
    )
    max_bad_share: float = field(
        default=MAX_BAD_SHARE,
        metadata={"help": "stop when more of the utterances are bad audio (0 to 1)"},
    )
    on_trouble: str = field(
        default="warn",
        metadata={"help": "of a loss that climbs, or outputs that collapse: 'warn' or 'stop'"},
    )
    forecast: Optional[str] = field(
        default=None,
        metadata={"help": "forecast.json of `budget-plan forecast`, to compare validations with"},
    )
    budget_flops: Optional[float] = field(
        default=None, metadata={"help": "stop when so many training FLOPs are spent, e.g. 1.33e18"}
    )
    seed: int = II("common.seed")
    max_update: int = II("optimization.max_update")


@register_task("budget_pretraining", dataclass=BudgetPretrainingConfig)
class BudgetPretrainingTask(BudgetTask):
    """Loads manifests and labels; counts what is heard and spent; stops at a FLOPs budget."""

    cfg: BudgetPretrainingConfig

    def __init__(self, cfg: BudgetPretrainingConfig, from_checkpoint: bool = False) -> None:
        super().__init__(cfg, from_checkpoint)
        self.progress = Progress(self._new_meter(), cfg.max_update)
        self._bad_audio = BadAudio(cfg.max_bad_share)
        if cfg.on_trouble not in ON_TROUBLE:
            expected = expected_one_of(cfg.on_trouble, ON_TROUBLE)
            raise BudgetError(f"task.on_trouble={cfg.on_trouble}: {expected}")
        self._trouble = Trouble(
            self._heard.record,
            stop=cfg.on_trouble == "stop",
            warmup_updates=self._warmup_updates(),
        )
        self._expected: Optional[Any] = None
        self._guess: Optional[Guessing] = None
        self._validated = -1  # at which update

    def load_dataset(self, split: str, **unused: Any) -> None:
        corpus = self.open_corpus(split)
        labels, segments = self._open_labels(split, corpus), self._open_segments(split, corpus)
        dataset = BudgetAudioDataset(
            corpus,
            seed=self.cfg.seed,
            max_sample_size=self.cfg.max_sample_size,
            min_sample_size=self.cfg.min_sample_size,
            pad_audio=self.cfg.pad_audio,
            masking=Masking(self.cfg.mask_prob, self.cfg.mask_length, equal=self.cfg.equal_masks),
            labels=labels,
            segments=segments,
        )
        columns = [each.column for each in labels]
        self.add_dataset(split, dataset, columns + ([segments.column] if segments else []))

    def _open_labels(self, split: str, corpus: Corpus) -> List[Labels]:
        return [
            open_labels(self.cfg.data, split, name, corpus=corpus)
            for name in label_sets(self.cfg.labels)
        ]

    def _open_segments(self, split: str, corpus: Corpus) -> Optional[Segmentation]:
        if self.cfg.segments is None:
            return None
        return open_segments(self.cfg.data, split, self.cfg.segments, corpus=corpus)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Fill in what labels, batches and teachers know, in the config that checkpoints hold."""
        if cfg.get("num_classes", 0) is None:
            cfg.num_classes = self.num_classes()
        if cfg.get("teacher") is not None and not from_checkpoint:
            adopt_teacher(cfg)
        if cfg.get("batch_seconds_per_update", 0) is None:
            cfg.batch_seconds_per_update = self._batch_seconds()
        return super().build_model(cfg, from_checkpoint)

    def _batch_seconds(self) -> Optional[float]:
        """Audio in an update if all batches are full; None where nothing limits a batch's audio."""
        root = self._root()
        if "dataset" not in root:
            return None
        num_utterances, longest = root.dataset.batch_size or 0, self.cfg.max_sample_size or 0
        limits = [limit for limit in (root.dataset.max_tokens, num_utterances * longest) if limit]
        if not limits:
            return None
        num_batches = root.optimization.update_freq[-1]
        num_batches *= root.distributed_training.distributed_world_size
        return float(min(limits) / SAMPLE_RATE * num_batches)

    def num_classes(self) -> Union[int, List[int]]:
        """Clusters of the label files, and fairseq's four special symbols; a list for a list."""
        found = [
            read_info(Path(self.cfg.data), name).num_clusters + NUM_SPECIAL_CLASSES
            for name in label_sets(self.cfg.labels)
        ]
        if not found:
            raise BudgetError("this model learns labels: set task.labels=km")
        return found[0] if isinstance(self.cfg.labels, str) else found

    @property
    def target_dictionary(self) -> None:
        return None

    def begin_training(self, model: Any) -> None:
        super().begin_training(model)
        if self.progress.meter.exhausted:
            self.leave(f"task.budget_flops={self.cfg.budget_flops:.4g} is spent")
        for warning in self._schedule_warnings(model.encoder.config):
            logger.warning(warning)
        if self.cfg.forecast is not None:
            # which imports much that a run without a forecast does without
            from fairseq_budget.tasks._expected import ExpectedLoss

            heard = self.update_audio()
            self._expected = ExpectedLoss(self._root(), model, heard, self._trouble)

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):  # type: ignore[no-untyped-def]
        self._bad_audio.name(sample["bad_audio"])
        loss, sample_size, log = super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad
        )
        log["bad_audio"] = len(sample["bad_audio"])
        return loss, sample_size, log

    def valid_step(self, sample, model, criterion):  # type: ignore[no-untyped-def]
        self._bad_audio.name(sample["bad_audio"])
        return super().valid_step(sample, model, criterion)

    def reduce_metrics(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if criterion.training:
            num_bad, num_heard = (
                int(sum(log[key] for log in logging_outputs)) for key in ("bad_audio", "nsentences")
            )
            self._bad_audio.count(num_bad, num_heard)
            self._trouble.add(logging_outputs, self._update, gradient_norm())
            waited_s = self._train_batches.waited_s if self._train_batches else 0.0
            self.progress.add(
                logging_outputs, self._update, bad_audio=self._bad_audio.num_bad, waited_s=waited_s
            )
            if self.progress.meter.exhausted:
                self.stop(f"task.budget_flops={self.cfg.budget_flops:.4g} is spent")

    def post_validate(self, model: Any, stats: Dict[str, Any], agg: Any) -> None:
        """fairseq logs what is in `stats` after this; of several subsets the first counts."""
        if stats["num_updates"] == self._validated:
            return
        self._validated = stats["num_updates"]
        self._guessing().add(stats)
        if self._expected is not None:
            self._expected.compare(stats)

    def _guessing(self) -> Guessing:
        if self._guess is None:
            root = self._root()
            split = first_split(root, "valid")
            labels = self.datasets[split].labels if split in self.datasets else ()
            self._guess = Guessing(labels, root.model.get("num_negatives"))
        return self._guess

    def _new_meter(self) -> BudgetMeter:
        root = self._root()
        if not root:
            return BudgetMeter(budget_flops=self.cfg.budget_flops)
        precision = "fp16" if root.common.fp16 else "bf16" if root.common.bf16 else "fp32"
        return BudgetMeter(
            budget_flops=self.cfg.budget_flops,
            peak_flops=measured_peak_flops(precision),
            num_devices=root.distributed_training.distributed_world_size,
        )

    def _warmup_updates(self) -> int:
        scheduler = self._root().get("lr_scheduler") or {}  # none where a model is evaluated
        return int(scheduler.get("warmup_updates") or 0)

    def _schedule_warnings(self, config: ResolvedConfig) -> List[str]:
        """Whether size, updates and budget fit, judged by the batches of this epoch."""
        root, heard = self._root(), self.update_audio()
        return check_schedule(
            config,
            max_update=self.cfg.max_update,
            total_num_update=root.lr_scheduler.get("total_num_update") or self.cfg.max_update,
            seconds_per_update=heard.seconds,
            sequence_s=heard.sequence_s,
            budget_flops=self.cfg.budget_flops,
            warmup_updates=self._warmup_updates(),
        )

    def state_dict(self) -> Dict[str, Any]:
        return {**self.progress.state_dict(), **self._bad_audio.state_dict()}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Counts as they were saved: none by other tasks, no bad audio by earlier versions."""
        if "flops" in state_dict:
            self.progress.load_state_dict(state_dict)
        if "num_bad_audio" in state_dict:
            self._bad_audio.load_state_dict(state_dict)
