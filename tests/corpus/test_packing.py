"""What packing checks: every line, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.labels import open_labels
from fairseq_budget.corpus.packed import Packed, open_corpus
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

CENTROIDS = "c" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four utterances of one to two seconds and labels of two clusters at 50 Hz."""
    manifest = write_tone_corpus(tmp_path, 4)
    manifest.write(tmp_path / "train.tsv")
    write_labels(tmp_path)
    info = {"label_rate": 50, "num_clusters": 2, "feature": {}, "centroids_sha256": CENTROIDS}
    (tmp_path / "labels.json").write_text(json.dumps(info))
    (tmp_path / "dict.km.txt").write_text("0 1\n1 1\n")
    return tmp_path


def write_labels(folder: Path, change=lambda index, line: line) -> None:
    lines = (folder / "train.tsv").read_text().splitlines()[1:]
    sizes = [int(line.split("\t")[1]) for line in lines]
    lines = [change(i, " ".join(["0", "1"] * (size // 640))) for i, size in enumerate(sizes)]
    write_column(folder / "train.tsv", "km", lines, 50, more={"centroids": CENTROIDS})


def test_packed_labels_are_the_labels(folder) -> None:
    plain = open_labels(folder, "train")
    pack_split(folder / "train.tsv", progress=False)
    labels = open_labels(folder, "train")
    assert isinstance(open_corpus(folder, "train").source, Packed)
    assert type(labels.column) is not type(plain.column)
    assert all(labels.ids(i).tolist() == plain.ids(i).tolist() for i in range(4))


def test_a_label_that_is_no_cluster_is_found_wherever_it_is(folder) -> None:
    write_labels(folder, lambda index, line: line[:-1] + "2" if index == 2 else line)
    with pytest.raises(BudgetError, match=r"train.km, line 3: label 2 is none of the 2 clusters"):
        pack_split(folder / "train.tsv")


def test_labels_are_checked_whatever_their_first_line_looks_like(folder) -> None:
    write_labels(folder, lambda index, line: f"-1 {line}")
    with pytest.raises(BudgetError, match=r"train.km, line 1: label -1 is none of the 2 clusters"):
        pack_split(folder / "train.tsv")


def test_more_clusters_than_16_bits_can_tell_apart_are_refused(folder) -> None:
    info = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**info, "num_clusters": 65537}))
    (folder / "dict.km.txt").write_text("".join(f"{cluster} 1\n" for cluster in range(65537)))
    with pytest.raises(BudgetError, match=r"train.km has labels of 65537 clusters.* 65536"):
        pack_split(folder / "train.tsv")


def test_text_that_is_not_utf_8_is_named_by_line(folder) -> None:
    write_column(folder / "train.tsv", "txt", ["a", "b", "c", "d"], None)
    (folder / "train.txt").write_bytes(b"a\nb\n\xff\nd\n")
    with pytest.raises(BudgetError, match=r"train.txt, line 3: .*utf-8.*write it again"):
        pack_split(folder / "train.tsv")


def test_labels_that_do_not_fit_the_audio_are_found_wherever_they_are(folder) -> None:
    write_labels(folder, lambda index, line: line[: len(line) // 2] if index == 3 else line)
    with pytest.raises(BudgetError, match=r"train.km, line 4: \d+ labels for .* label rate is 50"):
        pack_split(folder / "train.tsv")


def test_labels_of_other_centroids_are_refused(folder) -> None:
    info = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**info, "centroids_sha256": "other"}))
    with pytest.raises(BudgetError, match="clustered by other centroids"):
        pack_split(folder / "train.tsv")


def test_a_column_that_has_changed_since_it_was_written_is_not_packed(folder) -> None:
    write_labels(folder)
    path = folder / "train.km"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    pack_split(folder / "train.tsv")  # the same lines
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(BudgetError, match=r"train.km has changed since it was written"):
        pack_split(folder / "train.tsv")


def test_a_column_with_lines_missing_is_refused(folder) -> None:
    path = folder / "train.km"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(BudgetError, match=r"has 3 lines, but .* has 4 utterances"):
        pack_split(folder / "train.tsv")


def test_a_column_of_another_manifest_is_refused(folder) -> None:
    lines = (folder / "train.tsv").read_text().splitlines()
    (folder / "train.tsv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(BudgetError, match=r"train.km was made for another manifest"):
        pack_split(folder / "train.tsv")


@pytest.mark.parametrize(
    ("line", "message"),
    [("a.wav\t5\textra", "line 6: 3 column"), ("a.wav\t-1", "line 6: '-1' is no positive"),
     ("gone.wav\t5", "1 files of .* missing below .*gone.wav"), ("\na.wav\t5", "line 6: 1 column")],
)  # fmt: skip
def test_a_wrong_line_of_the_manifest_is_named(folder, line, message) -> None:
    with (folder / "train.tsv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BudgetError, match=message):
        pack_split(folder / "train.tsv")


def test_blank_lines_at_the_end_are_no_utterances(folder) -> None:
    with (folder / "train.tsv").open("a") as file:
        file.write("\n\n")
    pack_split(folder / "train.tsv")
    assert len(open_corpus(folder, "train")) == 4


def test_numbers_beyond_16_bits_are_refused(folder) -> None:
    write_column(folder / "train.tsv", "seg", ["1", "2", "65536", "3"], 50)
    with pytest.raises(BudgetError, match=r"train.seg, line 3: 65536 does not lie within"):
        pack_split(folder / "train.tsv")


def test_a_failed_packing_leaves_the_old_pack_and_nothing_else(folder) -> None:
    path = pack_split(folder / "train.tsv")
    before = path.read_bytes()
    write_labels(folder, lambda index, line: "5")
    names = sorted(file.name for file in folder.iterdir())
    with pytest.raises(BudgetError):
        pack_split(folder / "train.tsv")
    assert path.read_bytes() == before
    assert sorted(file.name for file in folder.iterdir()) == names


def test_a_missing_or_empty_manifest_is_an_error(tmp_path) -> None:
    with pytest.raises(BudgetError, match="cannot read the manifest"):
        pack_split(tmp_path / "train.tsv")
    (tmp_path / "train.tsv").write_text("/root\n")
    with pytest.raises(BudgetError, match="holds no utterances"):
        pack_split(tmp_path / "train.tsv")
