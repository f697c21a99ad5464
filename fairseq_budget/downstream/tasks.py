"""The table of tasks: what each is called, which of s3prl's experts it is, and how it is scored.

The configurations in ``upstream/configs`` of KS, IC, ER and SID are for corpora of minutes, and
``superb`` has what SUPERB sets otherwise; the others are SUPERB's, and ``small`` has what corpora
of minutes on a CPU want. SUPERB's numbers are those of s3prl's own configurations
(``downstream/*/config.yaml`` of its repository) and of its ``problem`` modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairseq_budget.downstream.speaker_files import VOXCELEB, write_mixtures, write_trials
from fairseq_budget.downstream.speech_files import (
    CORPUS,
    SNIPS,
    write_letters,
    write_phones,
    write_pieces,
    write_slots,
)
from fairseq_budget.downstream.task_files import (
    Options,
    Splits,
    write_emotions,
    write_intents,
    write_keywords,
    write_speakers,
    write_words,
)
from fairseq_budget.downstream.term_files import write_terms
from fairseq_budget.errors import BudgetError
from fairseq_budget.structured import Rate, Share

Setting = str | int | float | None


@dataclass(frozen=True)
class Metric:
    """A number of an evaluation: its name, and s3prl's tag of it, with {split} and {fold} in it.

    ``percent``: s3prl gives it in per cent; all of ours are shares, of which 1 is all.
    """

    name: str
    tag: str
    higher_is_better: bool = False
    percent: bool = False

    @property
    def kind(self) -> Any:
        """Its type: a share; errors may be more than there is to get right."""
        return Share if self.higher_is_better else Rate

    @property
    def title(self) -> str:
        """A table's words for it.

        >>> Metric("accuracy", "", higher_is_better=True).title, Metric("WER", "").title
        ('accuracy (%)', 'WER (%), lower is better')
        """
        return f"{self.name} (%)" + ("" if self.higher_is_better else ", lower is better")


def _accuracy(prefix: str) -> tuple[Metric, ...]:
    return (Metric("accuracy", f"{prefix}/{{split}}-acc", higher_is_better=True),)


@dataclass(frozen=True)
class Task:
    """One of s3prl's tasks.

    ``write(folder, splits, options)`` makes its files (see task_files.py). ``data`` are the fields
    below ``downstream_expert`` that must point to them. ``config``: what ``-c`` names where ``-d``
    alone does not tell it. The first of ``metrics`` chooses the best update, and SUPERB reports the
    first ``num_reported`` of them. ``evaluated``:
    s3prl's names of valid and test. ``draws_valid``: s3prl takes the validation part from train
    itself. ``learns``: if not, each layer is evaluated in place of a sum of them that would be
    learned. ``commands_only``: of the demo corpus, its sentences are left out. ``timed_words``: it
    wants to know when words are said. ``num_folds``: a score is the mean of so many trainings,
    which ``datarc.test_fold`` parts.
    """

    downstream: str
    title: str
    label: str
    metrics: tuple[Metric, ...]
    data: Mapping[str, str]
    write: Callable[[Path, Splits, Options], dict[str, str]]
    config: str | None = None
    evaluated: tuple[str, str] = ("dev", "test")
    draws_valid: bool = False
    learns: bool = True
    commands_only: bool = True
    timed_words: bool = False
    num_folds: int = 1
    num_reported: int = 1
    small: Mapping[str, Setting] = field(default_factory=dict)
    superb: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def reported(self) -> tuple[Metric, ...]:
        """The metrics that SUPERB's tables have."""
        return self.metrics[: self.num_reported]

    def overrides(self, folder: Path, *, superb: bool = False) -> list[str]:
        """The ``-o`` fields that make s3prl read ``folder``, and suit its size."""
        root = folder.resolve()  # s3prl evaluates values as Python, which no absolute path is
        if "=" in str(root) or ",," in str(root):
            raise BudgetError(f"{root}: s3prl cannot take a path with '=' or ',,'; choose another")
        paths = {key: (root / below).as_posix() for key, below in self.data.items()}
        settings = self.superb if superb else self.small
        return [
            *(f"config.downstream_expert.{key}={path}" for key, path in paths.items()),
            *(f"config.{key}={value}" for key, value in settings.items()),
        ]


_SUPERB: dict[str, Setting] = {  # of KS and IC, and most of SID's and ER's
    "runner.total_steps": 200000,
    "runner.eval_step": 4000,
    "runner.save_step": 4000,
    "optimizer.lr": 1e-4,
    "scheduler": None,
}


def _small_rnn(model: str) -> dict[str, Setting]:
    """A recogniser of one layer in place of two of width 1024."""
    lists = {"dim": "[128]", "dropout": "[0.2]", "layer_norm": "[True]", "proj": "[False]"}
    return {
        f"downstream_expert.{model}.project_dim": 128,
        f"downstream_expert.{model}.RNNs.sample_rate": "[1]",
        **{f"downstream_expert.{model}.RNNs.{key}": value for key, value in lists.items()},
    }


_SMALL: dict[str, Setting] = {  # half a minute or a few on one CPU core
    "runner.total_steps": 400,
    "runner.eval_step": 200,
    "runner.save_step": 400,
    "runner.log_step": 50,
    "runner.gradient_accumulate_steps": 1,
    "scheduler.name": "linear_schedule_with_warmup",
    "scheduler.num_warmup_steps": 40,
    "specaug": None,
}
_ALL_SPEAKERS: dict[str, Setting] = {  # audio SNIPS's are others
    f"downstream_expert.corpus.{split}_speakers": None for split in ("train", "valid", "test")
}
_SMALL_CTC = {
    **_SMALL,
    "downstream_expert.corpus.num_workers": 0,
    "downstream_expert.corpus.batch_size": 16,
}

TASKS = {
    "ks": Task(
        "speech_commands",
        "keyword spotting",
        "label",
        _accuracy("speech_commands"),
        {
            "datarc.speech_commands_root": "train",
            "datarc.speech_commands_test_root": "test",
        },
        write_keywords,
        superb={**_SUPERB, "downstream_expert.datarc.batch_size": 32},
    ),
    "ks35": Task(
        "speech_commands",
        "keyword spotting, each word a class",
        "label",
        _accuracy("speech_commands"),
        {
            "datarc.speech_commands_root": "train",
            "datarc.speech_commands_test_root": "test",
            "datarc.classes": "classes.txt",
        },
        write_words,
        superb={**_SUPERB, "downstream_expert.datarc.batch_size": 32},
    ),
    "ic": Task(
        "fluent_commands",
        "intent classification",
        "label",
        _accuracy("fluent_commands"),
        {"datarc.file_path": ""},
        write_intents,
        superb={**_SUPERB, "downstream_expert.datarc.train_batch_size": 32},
    ),
    "er": Task(
        "emotion",
        "emotion recognition",
        "label",
        _accuracy("emotion-fold{fold}"),
        {"datarc.root": "", "datarc.meta_data": "meta_data"},
        write_emotions,
        draws_valid=True,
        superb={
            **_SUPERB,
            "runner.total_steps": 30000,
            "runner.eval_step": 1000,
            "runner.gradient_accumulate_steps": 8,
            "downstream_expert.datarc.train_batch_size": 4,
            "downstream_expert.datarc.valid_ratio": 0.2,
        },
    ),
    "sid": Task(
        "voxceleb1",
        "speaker identification",
        "speaker",
        _accuracy("voxceleb1"),
        {"datarc.file_path": "", "datarc.meta_data": "splits.txt"},
        write_speakers,
        superb={
            **_SUPERB,
            "runner.gradient_accumulate_steps": 4,
            "downstream_expert.datarc.train_batch_size": 8,
            "downstream_expert.datarc.max_timestep": 128000,
        },
    ),
    "pr": Task(
        "ctc",
        "phone recognition",
        "transcript",
        (Metric("PER", "ctc-libriphone/{split}-per"),),
        {
            "corpus.path": CORPUS,
            "corpus.lexicon": "lexicon.txt",
            "text.vocab_file": "phones.txt",
        },
        write_phones,
        config="downstream/ctc/libriphone.yaml",
        commands_only=False,
        small=_SMALL_CTC,
    ),
    "asr": Task(
        "asr",
        "speech recognition in letters",
        "transcript",
        (
            Metric("WER", "asr/{split}-wer", percent=True),
            Metric("letter error rate", "asr/{split}-uer", percent=True),
        ),
        {
            "datarc.libri_root": CORPUS,
            "datarc.bucket_file": "lengths",
            "datarc.dict_path": "letters.txt",
        },
        write_letters,
        evaluated=("dev-clean", "test-clean"),
        commands_only=False,
        small={
            **_SMALL,
            "optimizer.lr": 1e-2,
            "downstream_expert.datarc.num_workers": 0,
            **_small_rnn("modelrc"),
        },
    ),
    "asr5k": Task(
        "ctc",
        "speech recognition in word pieces",
        "transcript",
        (
            Metric("WER", "ctc-librispeech/{split}-wer"),
            Metric("letter error rate", "ctc-librispeech/{split}-cer"),
        ),
        {"corpus.path": CORPUS, "text.vocab_file": "pieces.model"},
        write_pieces,
        config="downstream/ctc/librispeech_pieces.yaml",
        commands_only=False,
        small={**_SMALL_CTC, "optimizer.lr": 1e-2, **_small_rnn("model")},
    ),
    "sf": Task(
        "ctc",
        "slot filling",
        "transcript",
        (
            Metric("slot type F1", "ctc-snips/{split}-slot_type_f1", higher_is_better=True),
            Metric("slot value CER", "ctc-snips/{split}-slot_value_cer"),
        ),
        {
            "corpus.path": SNIPS,
            "text.vocab_file": "letters.txt",
            "text.slots_file": f"{SNIPS}/slots.txt",
        },
        write_slots,
        config="downstream/ctc/snips.yaml",
        num_reported=2,
        small={**_SMALL_CTC, **_ALL_SPEAKERS, "optimizer.lr": 1e-2, **_small_rnn("model")},
        superb=_ALL_SPEAKERS,
    ),
    "asv": Task(
        "sv_voxceleb1",
        "speaker verification",
        "speaker",
        (Metric("EER", "sv-voxceleb1/{split}-EER"),),
        {
            "datarc.file_path": VOXCELEB,
            "datarc.train_meta_data": "speakers.txt",
            "datarc.dev_meta_data": "valid_trials.txt",
            "datarc.test_meta_data": "test_trials.txt",
        },
        write_trials,
        commands_only=False,
        small={
            **_SMALL,
            "optimizer.lr": 1e-3,
            "downstream_expert.datarc.vad_config.min_sec": 8000,
            "downstream_expert.datarc.num_workers": 0,
            "downstream_expert.modelrc.input_dim": 128,
            "downstream_expert.modelrc.module_config.XVector.agg_dim": 256,
        },
    ),
    "sd": Task(
        "diarization",
        "speaker diarization",
        "speaker",
        (
            Metric("DER", "diarization/{split}-der"),
            Metric("frame accuracy", "diarization/{split}-acc", higher_is_better=True),
        ),
        {"loaderrc.train_dir": "train", "loaderrc.dev_dir": "dev", "loaderrc.test_dir": "test"},
        write_mixtures,
        commands_only=False,
        small={
            **_SMALL,
            "optimizer.lr": 1e-2,
            "downstream_expert.loaderrc.num_workers": 0,
            "downstream_expert.modelrc.hidden_size": 64,
        },
    ),
    "qbe": Task(
        "quesst14_dtw",
        "query by example",
        "transcript",
        (Metric("MTWV", "quesst14_dtw/{split}-mtwv", higher_is_better=True),),
        {"datarc.dataset_root": ""},
        write_terms,
        learns=False,
        commands_only=False,
        timed_words=True,
        small={"downstream_expert.datarc.num_workers": 0},
    ),
}

OFFICIAL_TASKS = {
    "ks": replace(
        TASKS["ks"],
        data={
            "datarc.speech_commands_root": "speech_commands_v0.01",
            "datarc.speech_commands_test_root": "speech_commands_test_set_v0.01",
        },
    ),
    "ic": TASKS["ic"],
    "sid": replace(
        TASKS["sid"], data={"datarc.file_path": "", "datarc.meta_data": "iden_split.txt"}
    ),
    "asv": replace(
        TASKS["asv"],
        data={
            "datarc.file_path": "",
            "datarc.dev_meta_data": "veri_test2.txt",  # s3prl reads it, and evaluates test alone
            "datarc.test_meta_data": "veri_test2.txt",
        },
        evaluated=("test", "test"),
        superb={"runner.eval_dataloaders": "['test']"},
    ),
    "sd": TASKS["sd"],
    "er": replace(TASKS["er"], num_folds=5),
    "qbe": TASKS["qbe"],
}
"""As s3prl reads SUPERB's own corpora (official.py) in the folders that they come in."""
