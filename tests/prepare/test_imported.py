"""Lhotse's cuts as manifests and labels; what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from fairseq_budget.audio.io import audio_info
from fairseq_budget.corpus.column import column_path
from fairseq_budget.corpus.labels import LabelInfo, open_labels, read_info, write_info
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.imported import write_imported
from fairseq_budget.prepare.lhotse_cuts import read_lhotse


def cut(name: str, start: float, duration: float, total: int, text=None, **changes) -> dict:
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": name}],
        "sampling_rate": 16000,
        "num_samples": total,
        "duration": total / 16000,
    }
    said = [{"id": "s", "text": text}] if text is not None else []
    whole = {"id": f"{name}-{start}", "start": start, "duration": duration, "channel": 0,
             "supervisions": said, "recording": recording, "type": "MonoCut"}  # fmt: skip
    return {**whole, **changes}


def write_cuts(folder: Path, *cuts: dict) -> Path:
    path = folder / "cuts.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(cut) + "\n" for cut in cuts)
    return path


def test_cuts_become_files_and_pieces_with_their_transcripts(audio) -> None:
    cuts = write_cuts(
        audio, cut("a.wav", 0, 2.0, 32000, "two\nwords"), cut("a.wav", 0.5, 1.0, 32000),
        cut("b.wav", 0.0, 1.0, 16000, ""),
    )  # fmt: skip
    manifest = audio / "train.tsv"
    assert write_imported(manifest, read_lhotse(cuts), root=audio) == 3
    corpus = read_text(manifest, ["txt"])
    assert [corpus.name(i) for i in range(3)] == ["a.wav", "a.wav@8000+16000", "b.wav"]
    assert corpus.sizes.tolist() == [32000, 16000, 16000]
    assert [corpus.columns["txt"][i] for i in range(3)] == ["two words", "", ""]
    assert (corpus.read(1) == corpus.read(0)[8000:24000]).all()


def test_without_transcripts_there_is_no_column(audio) -> None:
    cuts = write_cuts(audio, cut("a.wav", 0, 2.0, 32000))
    write_imported(audio / "train.tsv", read_lhotse(cuts), root=audio)
    assert not column_path(audio / "train.tsv", "txt").exists()


def write_labelled_cuts(folder: Path, *labels: str) -> Path:
    """b.wav as many times, with k-means ids where k2SSL puts them."""
    return write_cuts(
        folder, *(cut("b.wav", 0, 1.0, 16000, custom={"kmeans": line}) for line in labels)
    )


def test_labels_of_cuts_are_labels_to_train_on(audio) -> None:
    lines = [" ".join(str(3 * i % 7) for i in range(49)), " ".join(["6"] * 50)]
    rows = read_lhotse(write_labelled_cuts(audio, *lines))
    write_imported(audio / "train.tsv", rows, root=audio, num_clusters=7)
    pack_split(audio / "train.tsv")
    labels = open_labels(audio, "train")
    assert (labels.rate, labels.num_clusters) == (50, 7)
    assert [" ".join(map(str, labels.ids(i))) for i in range(2)] == lines


def test_labels_of_cuts_are_left_where_they_are_unless_asked_for(audio) -> None:
    rows = read_lhotse(write_labelled_cuts(audio, "1 2"))
    write_imported(audio / "train.tsv", rows, root=audio)
    assert sorted(path.name for path in audio.glob("*km*")) == []


def test_a_cut_without_labels_is_named_where_they_are_asked_for(audio) -> None:
    rows = read_lhotse(write_cuts(audio, cut("b.wav", 0, 1.0, 16000)))
    with pytest.raises(BudgetError, match=r"b.wav has no k-means labels"):
        write_imported(audio / "train.tsv", rows, root=audio, num_clusters=7)


def test_imported_labels_do_not_join_others(audio) -> None:
    info = LabelInfo(50, 7, {"kind": "mfcc"}, "0" * 64)
    write_info(audio, info)
    rows = read_lhotse(write_labelled_cuts(audio, "1 2"))
    with pytest.raises(BudgetError, match=r"labels of another origin"):
        write_imported(audio / "train.tsv", rows, root=audio, num_clusters=7)
    assert read_info(audio) == info
    assert not (audio / "train.tsv").exists()


def test_cuts_between_samples_stay_within_their_recording(audio) -> None:
    halves = cut("b.wav", 101.5 / 16000, 15898.5 / 16000, 16000)
    assert next(read_lhotse(write_cuts(audio, halves))).utterance.name == "b.wav@102+15898"


def with_recording(**changes) -> dict:
    one = cut("a.wav", 0, 2.0, 32000)
    return {**one, "recording": {**one["recording"], **changes}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (cut("a.wav", 0, 2.0, 32000, type="MixedCut"), "is a MixedCut"),
        (cut("a.wav", 1.5, 1.0, 32000), "do not lie within the 32000"),
        (with_recording(sampling_rate=8000), "has 8000 Hz"),
        (with_recording(transforms=[{"name": "Speed"}]), "is transformed"),
        (with_recording(sources=[{"type": "command", "channels": [0], "source": "rm x"}]),
         "not one mono file"),
        (with_recording(sources=[{"type": "file", "channels": [0, 1], "source": "a.wav"}]),
         "not one mono file"),
        ({"id": "x"}, "no 'recording'"),
    ],
)  # fmt: skip
def test_other_cuts_are_refused_by_line(audio, wrong, message) -> None:
    cuts = write_cuts(audio, cut("a.wav", 0, 2.0, 32000), wrong)
    with pytest.raises(BudgetError, match=rf"cuts.jsonl.gz, line 2: .*{message}"):
        list(read_lhotse(cuts))


def test_a_file_of_something_else_is_an_error(tmp_path) -> None:
    (tmp_path / "cuts.jsonl").write_text("not json\n")
    (tmp_path / "cuts.jsonl.gz").write_bytes(b"not gzip")
    for name, message in (("cuts.jsonl", "line 1"), ("cuts.jsonl.gz", "cannot read")):
        with pytest.raises(BudgetError, match=message):
            list(read_lhotse(tmp_path / name))


def test_nothing_to_import_leaves_nothing(tmp_path) -> None:
    with pytest.raises(BudgetError, match="nothing to put into"):
        write_imported(tmp_path / "train.tsv", [], root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_that_ends_a_little_late_ends_with_its_recording(audio) -> None:
    cuts = write_cuts(audio, cut("b.wav", 0.5, 0.5 + 0.02, 16000))
    (row,) = read_lhotse(cuts, audio)
    assert row.utterance.name == "b.wav@8000+8000"
    assert row.is_clipped
    with pytest.raises(BudgetError, match="do not lie within the 16000"):
        list(read_lhotse(write_cuts(audio, cut("b.wav", 0.5, 0.6, 16000)), audio))


def test_a_recording_that_is_not_as_long_as_it_says_is_refused(audio) -> None:
    length = audio_info(audio / "b.wav").num_samples
    cuts = write_cuts(audio, cut("b.wav", 0, 1.0, 2_147_483_647))
    with pytest.raises(BudgetError, match=f"2147483647 samples, but its file has {length}"):
        list(read_lhotse(cuts, audio))


def test_damage_inside_gzip_is_an_error(audio) -> None:
    path = write_cuts(audio, cut("a.wav", 0, 2.0, 32000))
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BudgetError, match=r"cuts\.jsonl\.gz"):
        list(read_lhotse(path))


@pytest.mark.parametrize(
    "wrong", [with_recording(sources=[{"type": "file", "channels": [0], "source": "x" * 5000}]),
              cut("a.wav", 1e307, 2.0, 32000)],
)  # fmt: skip
def test_names_and_times_without_end_are_refused_by_line(audio, wrong) -> None:
    with pytest.raises(BudgetError, match=r"cuts\.jsonl\.gz, line 1"):
        list(read_lhotse(write_cuts(audio, wrong)))
