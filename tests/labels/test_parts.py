"""Durable parts and the processes that make them."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from fairseq_budget.errors import BudgetError
from fairseq_budget.labels.jobs import load_frames
from fairseq_budget.labels.parts import (
    MAX_PART_S,
    Parts,
    Workers,
    cut_parts,
    shard_range,
    single_threaded,
)

pytestmark = pytest.mark.slow


def test_parts_tile_the_utterances_and_follow_from_the_sizes():
    sizes = np.random.default_rng(0).integers(1, 20 * 16000, size=500)
    runs = cut_parts(sizes)
    assert [index for run in runs for index in run] == list(range(500))
    assert all(len(run) > 0 for run in runs)
    seconds = [sizes[run.start : run.stop].sum() / 16000 for run in runs]
    assert max(seconds) < 3 + 20  # the parts of these tests are 3 s, an utterance up to 20 s
    assert cut_parts(sizes[:0]) == []


def test_parts_of_a_large_corpus_are_no_longer_than_ten_minutes():
    sizes = np.full(300_000, 15 * 16000)  # 1250 hours
    runs = cut_parts(sizes)
    assert max(map(len, runs)) * 15 <= MAX_PART_S + 15
    assert len(runs) < 8000


def test_other_settings_have_other_parts(tmp_path):
    first = Parts(tmp_path, "train", {"a": 1, "b": 2})
    assert first.folder == Parts(tmp_path, "train", {"b": 2, "a": 1}).folder
    others = [Parts(tmp_path, "valid", {"a": 1, "b": 2}), Parts(tmp_path, "train", {"a": 1})]
    assert len({first.folder, *(other.folder for other in others)}) == 3


def test_missing_parts_are_those_that_are_not_whole(tmp_path):
    parts = Parts(tmp_path, "train", {})
    assert parts.missing(range(3)) == [0, 1, 2]
    parts.folder.mkdir(parents=True)
    parts.write(1, b"")
    (parts.folder / f".{parts.path(2).name}.temporary").touch()
    assert parts.missing(range(3)) == [0, 2]


def test_removing_takes_the_parts_of_older_settings_and_the_empty_folder_along(tmp_path):
    ours, older, other = (
        Parts(tmp_path, task, {"x": x}) for task, x in (("train", 1), ("train", 2), ("valid", 1))
    )
    for parts in (ours, older, other):
        parts.folder.mkdir(parents=True)
    ours.remove()
    assert not ours.folder.exists()
    assert not older.folder.exists()
    assert other.folder.exists()
    other.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("total", "num_shards"), [(10, 3), (7, 7), (2, 5), (1000, 48)])
def test_shards_tile_the_work(total, num_shards):
    shards = [shard_range(total, num_shards, shard) for shard in range(num_shards)]
    assert [index for shard in shards for index in shard] == list(range(total))


@pytest.mark.parametrize("shard", [-1, 3])
def test_a_shard_that_is_none_is_an_error(shard):
    with pytest.raises(BudgetError, match=rf"--shard {shard} of --num-shards 3"):
        shard_range(10, 3, shard)


def test_torch_is_single_threaded_for_a_while():
    before = torch.get_num_threads()
    with single_threaded():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def touch(task: int, folder: Path) -> int:
    if task == 13:
        raise BudgetError("thirteen")
    if task == 14:
        os._exit(1)
    (folder / f"{task}-{os.getpid()}").touch()
    return 1


def run(workers: Workers, tasks: list[int], folder: Path) -> float:
    with tqdm(disable=True) as bar:
        workers.run(functools.partial(touch, folder=folder), tasks, bar)
        return bar.n


def test_few_tasks_start_no_process(tmp_path):
    with Workers(2, tasks_per_worker=10) as workers:
        run(workers, list(range(12)), tmp_path)
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {str(os.getpid())}


def test_processes_share_the_tasks_and_report_errors(tmp_path):
    with Workers(2) as workers:
        run(workers, list(range(12)), tmp_path)
        names = [path.name.split("-") for path in tmp_path.iterdir()]
        assert sorted(int(task) for task, _ in names) == list(range(12))
        assert str(os.getpid()) not in {process for _, process in names}
        with pytest.raises(BudgetError, match="thirteen"):
            run(workers, [12, 13], tmp_path)
        with pytest.raises(BudgetError, match=r"worker process died.*fewer --workers"):
            run(workers, [14, 15], tmp_path)


def whole(shape: tuple[int, ...], descr: str = "<f4", *, values: int = 6) -> bytes:
    content = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(4 * values)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", whole((2, 3))[:-1], whole((6,)), whole((2, 3), "<i4"), whole((2, 3), "|O"),
     whole((1 << 40, 3)), whole((1 << 62, 3)), whole((2, 3)).replace(b"(2, 3)", b"(2,((("),
     whole((2, 3)).replace(b"(2, 3)", b"(-2,3)")],
)  # fmt: skip
def test_a_part_of_something_else_takes_no_memory_and_is_an_error(tmp_path, content):
    parts = Parts(tmp_path, "train", {})
    parts.write(0, whole((2, 3)))
    assert load_frames(parts, 0).shape == (2, 3)
    parts.write(0, content)
    with pytest.raises(BudgetError, match=r"cannot read .*000000 .*remove it"):
        load_frames(parts, 0)
