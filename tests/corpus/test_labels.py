"""Label files: what training reads, and each of the ways to get it wrong."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.manifest import Manifest
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from tests.labelled import NUM_CLUSTERS, make

CURE = "make them with `budget-labels make --data"


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder, split, change):
    """Write the labels of a split again, each line changed, by the same centroids."""
    path = folder / f"{split}.km"
    lines = [change(line) for line in path.read_text().splitlines()]
    more = {"centroids": json.loads((folder / f"{split}.km.json").read_text())["centroids"]}
    write_column(folder / f"{split}.tsv", "km", lines, 100, more=more)


def test_labels_are_read_with_their_rate_and_number_of_clusters(labelled):
    labels = open_labels(labelled, "train")
    corpus = read_text(labelled / "train.tsv")
    assert (labels.rate, labels.num_clusters, len(labels)) == (100, NUM_CLUSTERS, len(corpus))
    for index, num_samples in enumerate(corpus.sizes.tolist()):
        ids = labels.ids(index)
        assert ids.dtype == np.int64
        assert len(ids) == max(0, (num_samples - 400) // 160 + 1)


def test_labels_travel_to_another_process_as_a_path(labelled):
    labels = open_labels(labelled, "valid")
    sent = pickle.dumps(labels)
    assert len(sent) < 500
    assert np.array_equal(pickle.loads(sent).ids(3), labels.ids(3))


def test_labels_may_move_with_their_manifests(labelled, tmp_path):
    shutil.move(labelled, tmp_path / "elsewhere")
    open_labels(tmp_path / "elsewhere", "train")


def test_a_shard_used_for_all_is_an_error(labelled):
    path = labelled / "train.km"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))
    with pytest.raises(BudgetError, match=r"train.km has labels for 6 of the 24 .* one shard"):
        open_labels(labelled, "train")


def test_a_shard_without_description_is_an_error(labelled):
    path = labelled / "train.km"
    path.write_text("1 2\n")
    (labelled / "train.km.json").unlink()
    with pytest.raises(BudgetError, match=r"for 1 of the 24 utterances .* one shard of several"):
        open_labels(labelled, "train")


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_or_missing_dictionary_is_an_error(labelled, content):
    path = labelled / "dict.km.txt"
    path.write_text(content) if content is not None else path.unlink()
    with pytest.raises(BudgetError, match=rf"dictionary .*dict.km.txt .*{CURE}"):
        open_labels(labelled, "train")


@pytest.mark.parametrize("change", [lambda e: e[:-1], lambda e: e + e, lambda e: [*e[1:], "8 1"]])
def test_a_dictionary_of_other_clusters_is_an_error(labelled, change):
    path = labelled / "dict.km.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(BudgetError, match=r"instead of the clusters 0 to 7 in order"):
        open_labels(labelled, "train")


def test_the_rate_of_another_iteration_is_an_error(labelled):
    edit_json(labelled / "labels.json", label_rate=50)
    with pytest.raises(BudgetError, match=r"train.km has 100 labels per second, .* says 50"):
        open_labels(labelled, "train")


def test_a_wrong_rate_on_both_sides_is_seen_in_the_audio(labelled):
    edit_json(labelled / "labels.json", label_rate=50)
    edit_json(labelled / "train.km.json", rate=50)
    with pytest.raises(BudgetError, match=r"labels for .* are .* per second, .* label rate is 50"):
        open_labels(labelled, "train")


def test_splits_clustered_by_different_centroids_are_an_error(labelled):
    edit_json(labelled / "valid.km.json", centroids="0" * 64)
    open_labels(labelled, "train")
    with pytest.raises(BudgetError, match=r"valid.km was clustered by other centroids .*train"):
        open_labels(labelled, "valid")


def test_labels_of_another_manifest_are_an_error(labelled):
    path = labelled / "train.tsv"
    manifest = Manifest.read(path)
    Manifest(manifest.root, manifest.utterances[::-1]).write(path)
    with pytest.raises(BudgetError, match=rf"train.km was made for another manifest.*{CURE}"):
        open_labels(labelled, "train")


def test_labels_that_do_not_fit_the_audio_are_an_error(labelled):
    rewrite(labelled, "train", lambda line: line[: len(line) // 2].rpartition(" ")[0])
    with pytest.raises(BudgetError, match=r"train.km, line \d+: \d+ labels for .* s of audio"):
        open_labels(labelled, "train")


@pytest.mark.parametrize("word", ["8", "-1", "one", "1.5", "9" * 30])
def test_a_word_that_is_no_cluster_is_an_error_that_names_the_line(labelled, word):
    rewrite(labelled, "train", lambda line: f"{word} {line.partition(' ')[2]}")
    with pytest.raises(BudgetError, match=r"train.km, line \d+: .*" + CURE):
        open_labels(labelled, "train")


def test_labels_whose_making_was_interrupted_are_an_error(labelled):
    (labelled / "labels.json").unlink()
    with pytest.raises(BudgetError, match=r"labels.json is missing.*also finishes"):
        open_labels(labelled, "train")


@pytest.mark.parametrize(
    ("content", "match"),
    [("{", "no description"), ("[]", "no description"), ('{"label_rate": 1}', "no description")],
)
def test_a_description_that_is_none_is_an_error(labelled, content, match):
    (labelled / "labels.json").write_text(content)
    with pytest.raises(BudgetError, match=match):
        open_labels(labelled, "train")


def test_a_newer_format_is_an_error(labelled):
    edit_json(labelled / "labels.json", format_version=2)
    with pytest.raises(BudgetError, match="format_version 2, not 1"):
        open_labels(labelled, "train")


def test_one_cluster_is_nothing_to_learn(labelled):
    edit_json(labelled / "labels.json", num_clusters=1)
    with pytest.raises(BudgetError, match="1 cluster"):
        open_labels(labelled, "train")


def test_missing_labels_are_an_error(manifests):
    make(manifests, splits=["train"])
    with pytest.raises(BudgetError, match=r"valid.km.*" + CURE):
        open_labels(manifests, "valid")


@pytest.mark.fairseq
def test_stock_fairseq_reads_the_files(labelled):
    pytest.importorskip("fairseq")
    from fairseq.data import Dictionary
    from fairseq.data.audio.hubert_dataset import HubertDataset
    from fairseq.tasks.hubert_pretraining import LabelEncoder

    dictionary = Dictionary.load(str(labelled / "dict.km.txt"))
    assert len(dictionary) == NUM_CLUSTERS + 4
    dataset = HubertDataset(
        str(labelled / "train.tsv"), 16000, [str(labelled / "train.km")], 100.0,
        [dictionary.pad()], [dictionary.eos()], [LabelEncoder(dictionary)],
    )  # fmt: skip
    labels = open_labels(labelled, "train")
    for index in range(len(dataset)):
        if len(labels.ids(index)):
            theirs = dataset.get_labels(index)[0].numpy()
            assert np.array_equal(theirs, labels.ids(index) + 4)
