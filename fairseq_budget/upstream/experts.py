"""What s3prl's experts of single tasks lack or take for granted, given to them in memory.

compat.py makes s3prl importable; these are for runs of ``run_downstream.py`` only.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.parent import end_with_parent
from fairseq_budget.upstream import ctc_corpora
from fairseq_budget.upstream.compat import stand_in
from fairseq_budget.upstream.scalars import write_scalar
from fairseq_budget.upstream.term_detection import read_truth, score_detections, truth_file

CTC = "s3prl.downstream.ctc"
NEEDED = {  # by experts: packages that nothing can stand in for, and what installs them
    "sv_voxceleb1": {"sklearn": "scikit-learn", "joblib": "joblib"},
    "quesst14_dtw": {package: "'fairseq_budget[qbe]'" for package in ("dtw", "lxml")},
}


def require_packages(downstream: str) -> None:
    """Raise BudgetError if a package is missing that an expert of s3prl imports."""
    for package, name in NEEDED.get(downstream, {}).items():
        if importlib.util.find_spec(package) is None:
            raise BudgetError(
                f"s3prl's {downstream} needs {package}, which is not installed; pip install {name}"
            )


@contextmanager
def supplied_experts(cache: str) -> Iterator[None]:
    """Fill an expert's gaps once s3prl asks for it.

    `cache` is a folder for what experts would keep beside s3prl.
    """
    runner = importlib.import_module("s3prl.downstream.runner").Runner
    standard = runner._get_downstream

    def _get_downstream(self: Any) -> Any:
        require_packages(self.args.downstream)
        for supply in SUPPLIES.get(self.args.downstream, ()):
            supply(cache)
        return standard(self)

    runner._get_downstream = _get_downstream
    try:
        yield
    finally:
        runner._get_downstream = standard


def _redirect_speaker_cache(cache: str) -> None:
    """Keep voxceleb1's file list out of s3prl's own folder.

    s3prl stores it there by split name alone, so a second corpus would silently train and test on
    the files of the first.
    """
    dataset = importlib.import_module("s3prl.downstream.voxceleb1.dataset")
    dataset.CACHE_PATH = cache  # type: ignore[attr-defined]


def _let_keywords_be_listed(cache: str) -> None:
    """``datarc.classes``: a file of the classes of speech_commands, in place of s3prl's twelve."""
    expert = _expert("speech_commands")
    dataset = importlib.import_module("s3prl.downstream.speech_commands.dataset")
    classes, base = dataset.CLASSES, dataset.SpeechCommandsBaseDataset
    if base.__init__.__module__ == __name__:
        return
    twelve, standard, standard_base = [*classes], expert.DownstreamExpert.__init__, base.__init__

    def init(
        self: Any, upstream_dim: int, downstream_expert: Any, *more: Any, **named: Any
    ) -> None:
        listed = downstream_expert["datarc"].get("classes")
        # the one list that all of s3prl's modules hold
        classes[:] = Path(listed).read_text("utf-8").splitlines() if listed else twelve
        standard(self, upstream_dim, downstream_expert, *more, **named)

    def init_base(self: Any) -> None:
        standard_base(self)
        self.class_num = len(classes)

    expert.DownstreamExpert.__init__ = init
    base.__init__ = init_base


def _redirect_verification_cache(cache: str) -> None:
    """Keep sv_voxceleb1's lengths of trimmed files out of s3prl's own folder, for the same reason.

    It finds that folder from its module's file. Lengths are found by threads: processes that joblib
    starts would know neither our stand-ins nor that folder.
    """
    dataset = importlib.import_module("s3prl.downstream.sv_voxceleb1.dataset")
    dataset.__file__ = str(Path(cache, "dataset.py"))
    dataset.Parallel = functools.partial(  # type: ignore[attr-defined]
        importlib.import_module("joblib").Parallel, backend="threading"
    )


def _verify_by_own_trials(cache: str) -> None:
    """s3prl scores dev by the trials of test, whose recordings it has not heard then."""
    expert = _expert("sv_voxceleb1").DownstreamExpert
    standard = expert.log_records
    if standard.__module__ == __name__:
        return

    def log_records(self: Any, mode: str, **records: Any) -> Any:
        of_test = self.test_dataset
        if mode == "dev":
            self.test_dataset = self.dev_dataset
        try:
            return standard(self, mode, **records)
        finally:
            self.test_dataset = of_test

    expert.log_records = log_records


@contextmanager
def staying_on(device: str | None) -> Iterator[None]:
    """On the CPU, ``Tensor.cuda()``, which sv_voxceleb1 calls whatever the device, stays there."""
    cuda = torch.Tensor.cuda
    if device == "cpu":
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.cuda = cuda  # type: ignore[method-assign]


def _supply_edit_distance(cache: str) -> None:
    """ASR, PR and SF count errors with a package that s3prl does not install."""
    if importlib.util.find_spec("editdistance") is None:
        stand_in("editdistance", eval=edit_distance)


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make one sequence the other.

    >>> edit_distance("kitten", "sitting"), edit_distance(["a", "b"], [])
    (3, 2)
    """
    row = list(range(len(other) + 1))
    for count, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], count
        for place, right in enumerate(other, start=1):
            cheapest = min(row[place] + 1, row[place - 1] + 1, diagonal + (left != right))
            diagonal, row[place] = row[place], cheapest
    return row[-1]


def _supply_ctc_corpora(cache: str) -> None:
    """The modules of corpora that s3prl's wheel leaves out, the same beside a checkout's others."""
    package = f"{CTC}.corpus"
    if importlib.util.find_spec(package) is None:
        stand_in(package)
    for module, name in ctc_corpora.DATASETS.items():
        stand_in(f"{package}.{module}", **{name: getattr(ctc_corpora, name)})


def _keep_ctc_workers(cache: str) -> None:
    """s3prl takes ``num_workers`` out of the configuration, and starts twelve from then on."""
    expert = _expert("ctc")
    load_dataset = importlib.import_module(f"{CTC}.data").load_dataset
    expert.load_dataset = lambda split, tokenizer, corpus: load_dataset(  # type: ignore[attr-defined]
        split, tokenizer, dict(corpus)
    )


def _supply_end_of_sentence(cache: str) -> None:
    """Word pieces end in <eos> by an option that today's sentencepiece no longer has."""
    if importlib.util.find_spec("sentencepiece") is None:
        return
    processor = importlib.import_module("sentencepiece").SentencePieceProcessor
    if not hasattr(processor, "set_encode_extra_options"):
        processor.set_encode_extra_options = _encode_extra_options


def _encode_extra_options(processor: Any, options: str) -> None:
    add_eos = "eos" in options.split(":")
    processor.encode_as_ids = functools.partial(processor.encode, out_type=int, add_eos=add_eos)


def _search_in_children(cache: str) -> None:
    """quesst14_dtw searches in processes, which a run that is killed would leave behind.

    They are forks, as other ways to start one would import s3prl without what it lacks. Several
    runs at a time share the CPUs by their threads, and so by these processes.
    """

    def pool(max_workers: int | None) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers or torch.get_num_threads(),
            get_context("fork"),
            _begin_search,
            (os.getpid(),),
        )

    _expert("quesst14_dtw").ProcessPoolExecutor = pool  # type: ignore[attr-defined]


def _begin_search(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, not the query it is at
    end_with_parent(parent)


def _score_search(cache: str) -> None:
    """s3prl lists what it has found, and leaves the score to what QUESST 2014 ships.

    It is logged in the run's folder: an evaluation of s3prl's logs into one that it removes.
    """
    expert = _expert("quesst14_dtw")
    standard = expert.DownstreamExpert.log_records
    if standard.__module__ == __name__:
        return

    def log_records(self: Any, mode: str, **named: Any) -> None:
        part = "dev" if mode == "dev" else "eval"  # to s3prl all but dev is eval
        truth = read_truth(truth_file(Path(self.datarc["dataset_root"]), part))
        found: dict[str, list[tuple[str, float]]] = defaultdict(list)
        expert.defaultdict = lambda _: found  # type: ignore[attr-defined]  # it has no other name
        standard(self, mode, **named)
        value = score_detections({query: dict(own) for query, own in found.items()}, truth)
        write_scalar(self.expdir, f"quesst14_dtw/{mode}-mtwv", named["global_step"], value)
        print(f"{mode} MTWV: {value:.4f}")

    expert.DownstreamExpert.log_records = log_records


def _expert(downstream: str) -> ModuleType:
    return importlib.import_module(f"s3prl.downstream.{downstream}.expert")


SUPPLIES: dict[str, tuple[Callable[[str], None], ...]] = {
    "voxceleb1": (_redirect_speaker_cache,),
    "speech_commands": (_let_keywords_be_listed,),
    "sv_voxceleb1": (_redirect_verification_cache, _verify_by_own_trials),
    "quesst14_dtw": (_search_in_children, _score_search),
    "asr": (_supply_edit_distance,),
    "ctc": (
        _supply_edit_distance,
        _supply_ctc_corpora,
        _keep_ctc_workers,
        _supply_end_of_sentence,
    ),
}
