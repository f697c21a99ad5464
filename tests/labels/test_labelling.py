"""Labelling: killed or not, in one run or in shards, the bytes are the same."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fairseq_budget.corpus.column_kinds import model_path
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels import features, fitting
from fairseq_budget.labels import jobs as tasks
from fairseq_budget.labels.features import Feature, MfccExtractor
from fairseq_budget.labels.fitting import Fit
from fairseq_budget.labels.kmeans import KMeans
from fairseq_budget.labels.labelling import Apply, refuse_mixed_centroids
from fairseq_budget.labels.parts import WORK_FOLDER, Workers
from tests.labelled import NUM_CLUSTERS, contents, make

pytestmark = pytest.mark.slow

SPLITS = ("train", "valid")
FIT = {"feature": Feature(), "num_clusters": NUM_CLUSTERS, "num_frames": 100_000}


class Killed(BaseException):
    """Nothing in the package may catch this, as nothing catches SIGKILL."""


def killer(at: int, *, before: bool):
    """A stand-in for os.replace that dies at its call number `at`, before or after the work."""
    calls, replace_file = 0, os.replace

    def replace_or_die(source, target):
        nonlocal calls
        calls += 1
        if calls == at and before:
            raise Killed
        replace_file(source, target)
        if calls == at:
            raise Killed

    return replace_or_die, lambda: calls


def test_labels_are_those_of_scikit_learns_own_predict(labelled):
    pytest.importorskip("sklearn")
    from sklearn.cluster import MiniBatchKMeans

    model = KMeans.load(model_path(labelled, "km"))
    theirs = MiniBatchKMeans(NUM_CLUSTERS, init=model.centroids, n_init=1)
    theirs.partial_fit(model.centroids)  # only to make it callable
    theirs.cluster_centers_ = model.centroids
    for split in SPLITS:
        corpus, labels = read_text(labelled / f"{split}.tsv"), open_labels(labelled, split)
        for index in range(len(corpus)):
            frames = MfccExtractor()([corpus.read(index)])[0]
            if len(frames):
                assert np.array_equal(labels.ids(index), theirs.predict(frames))


def test_nothing_but_the_label_files_is_left(labelled):
    made = {"dict.km.txt", "labels.json", "kmeans.safetensors"}
    made |= {f"{split}.{ending}" for split in SPLITS for ending in ("tsv", "km", "km.json")}
    assert set(contents(labelled)) == made


def test_the_description_names_rate_clusters_feature_and_centroids(labelled):
    model = KMeans.load(model_path(labelled, "km"))
    assert json.loads((labelled / "labels.json").read_text()) == {
        "format_version": 1, "label_rate": 100, "num_clusters": NUM_CLUSTERS,
        "feature": {"kind": "mfcc"}, "centroids_sha256": model.sha256, "teacher_sha256": None,
    }  # fmt: skip
    assert json.loads((labelled / "train.km.json").read_text())["centroids"] == model.sha256
    entries = (labelled / "dict.km.txt").read_text()
    assert entries == "".join(f"{i} 1\n" for i in range(NUM_CLUSTERS))


@pytest.mark.parametrize("num_frames", [100_000, 500])
@pytest.mark.parametrize("before", [True, False])
def test_killed_anywhere_and_started_again_the_bytes_are_the_same(
    manifests, tmp_path, monkeypatch, before, num_frames
):
    whole = tmp_path / "whole"
    shutil.copytree(manifests, whole)
    counting, num_calls = killer(-1, before=before)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counting)
        make(whole, num_frames=num_frames)
    total = num_calls()
    assert total > 20
    rng = np.random.default_rng(num_frames)
    for number, at in enumerate(rng.permutation(total)[:12] + 1):
        folder = tmp_path / f"killed-{number}"
        shutil.copytree(manifests, folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killer(int(at), before=before)[0])
            with pytest.raises(Killed):
                make(folder, num_frames=num_frames)
        make(folder, num_frames=num_frames)
        assert contents(folder) == contents(whole)


def test_killed_again_and_again_it_comes_to_its_end(manifests, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    shutil.copytree(manifests, whole)
    make(whole)
    num_killed = 0
    while num_killed < 60:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killer(3, before=True)[0])  # two more parts each time
            try:
                make(manifests)
                break
            except Killed:
                num_killed += 1
    assert 5 < num_killed < 40
    assert contents(manifests) == contents(whole)


def test_finished_work_is_not_done_again(labelled, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in labelled.glob("*.km")}

    def never(*_):
        raise AssertionError("features were computed again")

    monkeypatch.setattr(features.MfccExtractor, "__call__", never)
    make(labelled)
    assert before == {path: path.stat().st_mtime_ns for path in labelled.glob("*.km")}


def test_the_number_of_processes_changes_nothing(labelled, manifests, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for split in SPLITS:
        shutil.copy(manifests / f"{split}.tsv", other)
    with Workers(2) as workers:
        Fit(other, **FIT).run(workers)
        Apply(other, Feature(), SPLITS).run(workers)
    # The workers do not see the parts of 3 s, but know them from the tasks.
    assert contents(other) == contents(labelled)


def fit_copy(manifests, folder):
    shutil.copytree(manifests, folder)
    with Workers(1) as workers:
        Fit(folder, **FIT).run(workers)
    return folder


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_shards_write_what_one_run_writes(manifests, tmp_path, order):
    folder = fit_copy(manifests, tmp_path / "sharded")
    with Workers(1) as workers:
        shards = [Apply(folder, Feature(), SPLITS, 3, shard) for shard in order]
        unfinished = [shard.run(workers) for shard in shards]
    assert unfinished[0] == unfinished[1] == list(SPLITS)
    assert unfinished[2] == []
    make(manifests)
    assert contents(folder) == contents(manifests)


def test_shards_that_finish_at_the_same_time_may_both_join(manifests, tmp_path):
    folder = fit_copy(manifests, tmp_path / "sharded")

    def apply(shard: int) -> list[str]:
        with Workers(1) as workers:
            return Apply(folder, Feature(), SPLITS, 4, shard).run(workers)

    with ThreadPoolExecutor(4) as threads:
        unfinished = list(threads.map(apply, range(4)))
    assert [] in unfinished
    make(manifests)
    assert contents(folder) == contents(manifests)


def test_a_shard_whose_parts_another_one_joined_finds_the_result(manifests, tmp_path, monkeypatch):
    folder = fit_copy(manifests, tmp_path / "sharded")
    task = Apply(folder, Feature(), SPLITS, 2, 0)
    with Workers(1) as workers:
        replace(task, shard=1).run(workers)
        from fairseq_budget.labels import labelling

        original = labelling._Split._lines

        def overtaken(job):
            with monkeypatch.context() as patch:
                patch.setattr(labelling._Split, "_lines", original)
                assert replace(task, shard=1).run(Workers(1)) == []
            yield from original(job)

        monkeypatch.setattr(labelling._Split, "_lines", overtaken)
        assert task.run(workers) == []
    open_labels(folder, "train")


def test_shards_refuse_to_begin_before_a_model_is_fitted(manifests):
    with pytest.raises(BudgetError, match="shards never fit; run `budget-labels fit"):
        Apply(manifests, Feature(), SPLITS, 3, 1).run(Workers(1))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"num_clusters": 5}, {"num_frames": 999}, {"split": "valid"}]
)
def test_parts_and_models_of_other_arguments_are_never_used(labelled, change):
    older = KMeans.load(model_path(labelled, "km"))
    fit = Fit(labelled, **{**FIT, **change})
    assert fit.fitted() is None
    with Workers(1) as workers:
        newer = fit.run(workers)
        assert newer.sha256 != older.sha256
        assert not (labelled / "labels.json").exists()  # until everything is labelled anew
        Apply(labelled, Feature(), SPLITS).run(workers)
    for split in SPLITS:
        assert open_labels(labelled, split).info.centroids_sha256 == newer.sha256


def test_a_changed_manifest_is_labelled_anew(labelled):
    path = labelled / "valid.tsv"
    manifest = Manifest.read(path)
    Manifest(manifest.root, manifest.utterances[:3]).write(path)
    make(labelled)
    assert len(open_labels(labelled, "valid")) == 3


def test_parts_of_an_older_manifest_are_not_used(labelled, tmp_path, monkeypatch):
    path = labelled / "valid.tsv"
    manifest = Manifest.read(path)
    (labelled / "valid.km").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killer(3, before=True)[0])
        with pytest.raises(Killed):
            make(labelled)
    assert list((labelled / WORK_FOLDER).rglob("000000"))
    Manifest(manifest.root, manifest.utterances[::-1]).write(path)
    make(labelled)
    labels, corpus = open_labels(labelled, "valid"), read_text(path)
    model = KMeans.load(model_path(labelled, "km"))
    expected = model.assign(MfccExtractor()([corpus.read(0)])[0])
    assert np.array_equal(labels.ids(0), expected)


def test_labels_of_other_centroids_may_not_stay_beside_new_ones(labelled):
    refuse_mixed_centroids(labelled, SPLITS, None)
    with pytest.raises(BudgetError, match=r"valid.km was clustered by other .* add valid to --spl"):
        refuse_mixed_centroids(labelled, ["train"], None)
    with Workers(1) as workers:
        Fit(labelled, **{**FIT, "seed": 7}).run(workers)
        with pytest.raises(BudgetError, match=r"valid.km was clustered by other centroids"):
            Apply(labelled, Feature(), ("train",)).run(workers)


def test_a_model_of_another_feature_is_refused(labelled, tmp_path):
    feature = Feature(tmp_path / "teacher", 2)
    with pytest.raises(BudgetError, match=r"fitted on .*mfcc.*, not on .*'layer': 2"):
        Apply(labelled, feature, SPLITS).run(Workers(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 50}, "has 50 frames per second, but .*mfcc.* has 100"),
        ({"rate": ...}, "say its rate"),
    ],
)
def test_a_model_that_says_another_rate_or_none_is_refused(labelled, changes, message):
    path = model_path(labelled, "km")
    model = KMeans.load(path)
    made = {k: v for k, v in {**model.description, **changes}.items() if v is not ...}
    KMeans(model.centroids, made).save(path)
    with pytest.raises(BudgetError, match=message):
        Apply(labelled, Feature(), SPLITS).run(Workers(1))


def test_a_manifest_that_changes_while_workers_read_it_is_an_error(labelled):
    corpus = read_text(labelled / "valid.tsv")
    source = tasks.Source.of(corpus, Feature())
    manifest = Manifest.read(corpus.path)
    Manifest(manifest.root, manifest.utterances[:-1]).write(corpus.path)
    tasks._open_corpus.cache_clear()
    with pytest.raises(BudgetError, match="was changed in the meantime"):
        source.features([0])


class Counting(MfccExtractor):
    """Notes how many utterances it was given."""

    num_utterances = 0

    def __call__(self, waves):
        Counting.num_utterances += len(waves)
        return super().__call__(waves)


@pytest.mark.parametrize(("num_frames", "computed_once"), [(100_000, True), (500, False)])
def test_features_of_a_split_that_was_fitted_on_as_a_whole_are_computed_once(
    manifests, monkeypatch, num_frames, computed_once
):
    monkeypatch.setattr(Counting, "num_utterances", 0)
    monkeypatch.setattr(features, "MfccExtractor", Counting)
    tasks.load_extractor.cache_clear()
    make(manifests, num_frames=num_frames)
    tasks.load_extractor.cache_clear()
    total = sum(len(read_text(manifests / f"{split}.tsv")) for split in SPLITS)
    assert (Counting.num_utterances == total) == computed_once
    assert not (manifests / WORK_FOLDER).exists()


def test_kept_features_give_the_labels_of_computed_ones(manifests, tmp_path):
    computed = fit_copy(manifests, tmp_path / "computed")
    shutil.rmtree(computed / WORK_FOLDER)
    Apply(computed, Feature(), SPLITS).run(Workers(1))
    make(manifests)
    assert contents(computed) == contents(manifests)


def damage(path):
    """One byte is another one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_features_that_were_damaged_are_computed_again(manifests, tmp_path):
    folder = fit_copy(manifests, tmp_path / "cut")
    part = fitting.kept_features(read_text(folder / "train.tsv"), Feature()).path
    part(0).write_bytes(b"")
    part(1).write_bytes(part(1).read_bytes()[:-1])
    damage(part(2))
    Apply(folder, Feature(), SPLITS).run(Workers(1))
    make(manifests)
    assert contents(folder) == contents(manifests)


@pytest.mark.parametrize(
    "name", ["train.km", "train.km.json", "dict.km.txt", "labels.json", "kmeans.safetensors"]
)
@pytest.mark.parametrize(
    "how", [damage, lambda path: path.unlink(), lambda path: path.write_text("")]
)
def test_whatever_was_damaged_edited_or_lost_is_made_again(labelled, name, how):
    before = contents(labelled)
    how(labelled / name)
    make(labelled)
    assert contents(labelled) == before


def test_a_rate_that_was_edited_is_mended(labelled):
    before, path = contents(labelled), labelled / "train.km.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rate": 50}))
    make(labelled)
    assert contents(labelled) == before


def test_a_part_that_was_damaged_is_made_again(manifests, tmp_path):
    folder = fit_copy(manifests, tmp_path / "parts")
    Apply(folder, Feature(), SPLITS, 2, 0).run(Workers(1))
    first = next(path for path in (folder / WORK_FOLDER / "split.train.km").rglob("0*"))
    first.write_bytes(first.read_bytes()[:-5] + b"1 1 \n")
    make(folder)
    make(manifests)
    assert contents(folder) == contents(manifests)


def test_a_second_label_set_leaves_the_first_as_it_was(labelled):
    before = contents(labelled)
    with Workers(1) as workers:
        Fit(labelled, **{**FIT, "num_clusters": 5}, name="km2").run(workers)
        Apply(labelled, Feature(), SPLITS, name="km2").run(workers)
    after = contents(labelled)
    assert {name: after[name] for name in before} == before
    assert {"labels_km2.json", "kmeans_km2.safetensors", "dict.km2.txt"} <= set(after)
    assert open_labels(labelled, "train", "km2").num_clusters == 5
    assert open_labels(labelled, "train").num_clusters == NUM_CLUSTERS


def test_temporary_files_of_a_killed_process_are_removed(labelled):
    leftovers = [".train.km.abcdefgh", ".train.km.json.abcdefgh", ".labels.json.abcdefgh"]
    for name in leftovers:
        (labelled / name).touch()
    make(labelled)
    assert not set(leftovers) & set(contents(labelled))
