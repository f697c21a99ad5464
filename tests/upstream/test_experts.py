"""Each expert of s3prl that needs more than its import, on a little synthetic speech."""

from __future__ import annotations

import ctypes
import math
import random
import re
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from fairseq_budget.downstream.layout import Request, make_layout
from fairseq_budget.downstream.runs import update_overrides
from fairseq_budget.downstream.scores import read_score
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.compat import prepare_s3prl
from fairseq_budget.upstream.experts import (
    _let_keywords_be_listed,
    _redirect_verification_cache,
    _search_in_children,
    require_packages,
    staying_on,
)
from fairseq_budget.upstream.term_detection import read_truth, score_detections, truth_file

pytestmark = [pytest.mark.s3prl, pytest.mark.slow]


def test_tensors_stay_on_the_cpu_where_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "cuda", lambda _: "moved")
    tensor = torch.zeros(1)
    with staying_on("cpu"):
        assert tensor.cuda("cuda:0") is tensor
    assert tensor.cuda() == "moved"
    with staying_on("cuda"):
        assert tensor.cuda() == "moved"


@pytest.mark.parametrize(
    ("expert", "package", "cure"),
    [("sv_voxceleb1", "sklearn", "scikit-learn"), ("quesst14_dtw", "dtw", "'fairseq_budget[qbe]'")],
)
def test_a_package_that_an_expert_lacks_is_named_with_the_cure(
    expert: str, package: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BudgetError, match=f"{expert} needs {package}.*{re.escape(cure)}$"):
        require_packages(expert)
    require_packages("fluent_commands")


def test_lengths_of_a_corpus_are_kept_apart(digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    prepare_s3prl()
    _redirect_verification_cache(str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    from s3prl.downstream.sv_voxceleb1.dataset import SpeakerVerifi_train

    request = Request("asv", str(digits), train="take=2-7", valid="take=1", test="take=0")
    layout = make_layout(request, tmp_path / "asv")
    wavs = layout.folder / "VoxCeleb1" / "dev" / "wav"
    dataset = SpeakerVerifi_train({"min_sec": 4800}, ["Voxceleb1"], [wavs], None)
    assert len(dataset) == 36
    assert [path.name for path in (tmp_path / "cache").rglob("*.pt")] == ["Voxceleb1_length.pt"]


def test_keywords_are_the_listed_ones_or_the_twelve(digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    prepare_s3prl()
    _let_keywords_be_listed(str(tmp_path))
    from s3prl.downstream.speech_commands.expert import DownstreamExpert

    layout = make_layout(
        Request("ks35", str(digits), train="take=2-7", test="take=0-1"), tmp_path / "ks35"
    )
    folder = layout.folder
    data = {"speech_commands_root": folder / "train", "speech_commands_test_root": folder / "test"}
    config = {"modelrc": {"projector_dim": 4, "select": "UtteranceLevel"}}
    for classes, count in ((folder / "classes.txt", 5), (None, 12)):
        config["datarc"] = {**data, "classes": classes}
        expert = DownstreamExpert(8, config, str(tmp_path))
        assert expert.model.post_net.linear.out_features == count


def death_signal() -> int:
    """What a process is sent when its parent dies: 2 is prctl's PR_GET_PDEATHSIG."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number))
    return number.value


def test_processes_that_search_end_with_their_run(tmp_path: Path) -> None:
    pytest.importorskip("dtw")
    pytest.importorskip("s3prl")
    prepare_s3prl()
    _search_in_children(str(tmp_path))
    from s3prl.downstream.quesst14_dtw.expert import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as pool:
        assert pool.submit(death_signal).result() == signal.SIGKILL
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_DFL
    with ProcessPoolExecutor(max_workers=None) as pool:
        assert pool._max_workers == torch.get_num_threads()


def test_queries_are_found_by_their_sound_and_the_score_is_of_what_s3prl_lists(
    demo_folder: Path, tmp_path: Path, s3prl
) -> None:
    pytest.importorskip("dtw")
    layout = make_layout(Request("qbe", str(demo_folder)), tmp_path / "data")
    arguments = ["-u", "budget_logmel", "-l", "0", "-p", "out"]
    for part in ("valid", "test"):
        code, said = s3prl(*layout.command(arguments, part=part), cwd=tmp_path)
        assert code == 0, said
    score = read_score(tmp_path / "out", layout.task)
    assert score.update == 0
    assert min(score.valid, score.test) > 0.1
    truth = read_truth(truth_file(layout.folder, "eval"))
    listed = {
        query.attrib["termid"]: {term.attrib["file"]: float(term.attrib["score"]) for term in query}
        for query in ElementTree.parse(tmp_path / "out" / "benchmark.stdlist.xml").getroot()
    }
    assert score_detections(listed, truth) == pytest.approx(score.test)
    generator = random.Random(0)
    shuffled = {
        query: dict(zip(own, generator.sample(list(own.values()), len(own)), strict=True))
        for query, own in listed.items()
    }
    assert score_detections(shuffled, truth) < 0.3 * score.test


@pytest.mark.parametrize("task", ["asr", "asr5k", "asv", "pr", "sd", "sf"])
def test_s3prl_trains_and_evaluates_each_task(
    task: str, demo_folder: Path, exported: Path, tmp_path: Path, s3prl
) -> None:
    layout = make_layout(Request(task, str(demo_folder), pieces=60), tmp_path / "data")
    arguments = ["-u", "budget_upstream", "-k", str(exported), "-p", "out"]
    code, said = s3prl(*layout.command(arguments, update_overrides(1)), cwd=tmp_path)
    assert code == 0, said
    score = read_score(tmp_path / "out", layout.task)
    assert score.update == 1
    assert len(score.others) == len(layout.task.metrics) - 1
    assert all(map(math.isfinite, [score.valid, score.test, *score.others.values()]))
    tested = ("-m", "evaluate", "-t", layout.task.evaluated[1], "-e", "out")
    code, said = s3prl(*tested, cwd=tmp_path)
    assert code == 0, said
