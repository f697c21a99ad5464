"""Fine-tuning to speech recognition.

A manifest ``{split}.tsv`` of any kind, line-aligned ``{split}.{labels}`` (letters or word pieces
between blanks) and their dictionary ``dict.{labels}.txt``: the files of fairseq's
``audio_finetuning``, under which our recognisers train, too. The blank is ``<s>``. What this task
adds: joined utterances and packs, exact resumption, and checkpoints that need the pre-trained one
no more, as the encoder's dimensions are written into their config.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, Optional

from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import register_task
from omegaconf import II, MISSING

from fairseq_budget.corpus.column import Column
from fairseq_budget.corpus.symbols import open_symbols, read_vocabulary
from fairseq_budget.data.transcribed import TranscribedDataset
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.models._recognizer import adopt_pretrained
from fairseq_budget.pretrained.averaging import RunningMean
from fairseq_budget.pretrained.vocabulary import Vocabulary
from fairseq_budget.tasks._base import BudgetTask


@dataclass
class BudgetFinetuningConfig(FairseqDataclass):
    """Fields of ``task._name=budget_finetuning``."""

    data: str = field(default=MISSING, metadata={"help": "folder with manifests and transcripts"})
    user_dir: Optional[str] = field(
        default=None, metadata={"help": "the plug-in; presets hand it on to common.user_dir"}
    )
    labels: str = field(
        default="ltr", metadata={"help": "transcripts to learn, {split}.{labels}: 'ltr', 'bpe'"}
    )
    max_sample_size: Optional[int] = field(
        default=None, metadata={"help": "refuse longer utterances, in samples; null: none"}
    )
    min_sample_size: int = field(
        default=0, metadata={"help": "shorter utterances are left out, in samples"}
    )
    mean_interval: int = field(
        default=0,
        metadata={
            "help": "take the weights of every so many-th update into a running mean, which "
            "checkpoints hold for `budget-asr average --running`; 0: none"
        },
    )
    seed: int = II("common.seed")


@register_task("budget_finetuning", dataclass=BudgetFinetuningConfig)
class BudgetFinetuningTask(BudgetTask):
    """Loads manifests, transcripts and their dictionary."""

    cfg: BudgetFinetuningConfig

    def __init__(self, cfg: BudgetFinetuningConfig, from_checkpoint: bool = False) -> None:
        super().__init__(cfg, from_checkpoint)
        self._mean = RunningMean()
        if not from_checkpoint:
            self.vocabulary  # noqa: B018  # what is wrong with it is said before all else

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of ``cfg.data``; of a finished model its own (see load_state_dict)."""
        return read_vocabulary(self.cfg.data, self.cfg.labels)

    @cached_property
    def target_dictionary(self) -> Dictionary:
        dictionary = Dictionary()
        for symbol in self.vocabulary.symbols[dictionary.nspecial :]:
            dictionary.add_symbol(symbol)
        return dictionary

    def load_dataset(self, split: str, **unused: Any) -> None:
        corpus = self.open_corpus(split)
        rows = open_symbols(corpus, self.cfg.labels)
        limit, longest = self.cfg.max_sample_size, int(corpus.sizes.max())
        if limit is not None and longest > limit:
            raise BudgetError(
                f"task.max_sample_size={limit}, but {split} has an utterance of {longest} samples "
                f"({longest / SAMPLE_RATE:.1f} s): transcribed utterances cannot be cropped; leave "
                "it out of the manifest, or set task.max_sample_size=null"
            )
        dataset = TranscribedDataset(
            corpus,
            rows,
            self.target_dictionary,
            seed=self.cfg.seed,
            min_sample_size=self.cfg.min_sample_size,
        )
        self.add_dataset(split, dataset, [rows] if isinstance(rows, Column) else [])

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        if from_checkpoint:
            cfg.pretrained = None  # dimensions and weights are the checkpoint's own
        elif cfg.get("pretrained") is not None:
            adopt_pretrained(cfg)
        return super().build_model(cfg, from_checkpoint)

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        super().optimizer_step(optimizer, model, update_num)
        interval = self.cfg.mean_interval
        if interval and (update_num + 1) % interval == 0 and self._is_first_process():
            self._mean.update({name: value.cpu() for name, value in model.state_dict().items()})

    def _is_first_process(self) -> bool:
        """Of all GPUs': the one that writes checkpoints."""
        root = self._root()
        return not root or not root.distributed_training.distributed_rank

    def state_dict(self) -> Dict[str, Any]:
        mean = self._mean.state_dict() if self._mean.count else {}
        return {**self.vocabulary.state_dict(), **mean}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Of a run that goes on, or of a finished model: classes stand for what they did there."""
        held = Vocabulary.from_state(state_dict)
        if held is not None:
            self._check_vocabulary(held)
            self.vocabulary = held
        if self.cfg.mean_interval and self._is_first_process():
            self._mean = RunningMean.from_state(state_dict)

    def _check_vocabulary(self, held: Vocabulary) -> None:
        read = vars(self).get("vocabulary")  # of task.data, where this is a training
        if read is not None and read.symbols != held.symbols:
            raise BudgetError(
                f"dict.{self.cfg.labels}.txt in task.data={self.cfg.data} has other symbols, or "
                "another order, than the checkpoint that this run would go on from: put back the "
                "dictionary of its training, or begin anew in another checkpoint.save_dir"
            )
