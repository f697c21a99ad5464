"""A packed split says what its manifest and columns say, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.pack_file import PREFIX, Pack
from fairseq_budget.corpus.packed import Packed, open_corpus
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from tests.synthetic import write_tone_corpus

TRANSCRIPTS = ["one", "", "zwölf", "three", "", "six"]
NUMBERS = ["0 65535 7", "", "1", "2 2", "3", "4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest of five files and pieces of two of them, with a column of text and one of ids."""
    manifest = write_tone_corpus(tmp_path / "audio", 5)
    first, second = (utterance.name for utterance in manifest.utterances[:2])
    joined = Utterance((Piece(first, 100, 900), Piece(second, 5_000, 600)), 1_500)
    data = tmp_path / "data"
    Manifest(manifest.root, [*manifest.utterances, joined]).write(data / "train.tsv")
    write_column(data / "train.tsv", "txt", TRANSCRIPTS, None)
    write_column(data / "train.tsv", "ids", NUMBERS, 50, more={"kind": "test"})
    return data


@pytest.fixture
def packed(folder: Path) -> Path:
    return pack_split(folder / "train.tsv")


def test_both_forms_are_the_same_corpus(folder, packed) -> None:
    plain = read_text(folder / "train.tsv", ["txt", "ids"])
    corpus = open_corpus(folder, "train", ["txt", "ids"])
    assert isinstance(corpus.source, Packed)
    assert len(corpus) == len(plain) == 6
    assert (corpus.hash, corpus.root) == (plain.hash, plain.root)
    assert corpus.sizes.tolist() == plain.sizes.tolist()
    assert corpus.by_size.tolist() == plain.by_size.tolist()
    assert corpus.num_samples == plain.num_samples
    for index in range(6):
        assert corpus.utterance(index) == plain.utterance(index)
        assert np.array_equal(corpus.read(index, 300, 900), plain.read(index, 300, 900))
    for name in ("txt", "ids"):
        ours, theirs = corpus.columns[name], plain.columns[name]
        assert [ours[i] for i in range(6)] == [theirs[i] for i in range(6)]
        assert (ours.rate, ours.description) == (theirs.rate, theirs.description)
        assert len(ours) == 6
    numbers = corpus.columns["ids"].numbers(0)
    assert (numbers.dtype, numbers.tolist()) == (np.int64, [0, 65535, 7])


def test_numbers_lie_in_the_pack_as_uint16(packed) -> None:
    assert Pack(packed)["ids.values"].dtype == np.uint16
    assert Pack(packed)["ids.values"].tolist() == [0, 65535, 7, 1, 2, 2, 3, 4]


def test_by_size_is_longest_first_and_keeps_the_order_of_equals(folder, packed) -> None:
    corpus = open_corpus(folder, "train")
    sizes = corpus.sizes.tolist()
    assert corpus.by_size.tolist() == sorted(range(6), key=lambda i: (-sizes[i], i))


def test_equal_corpora_are_packed_to_equal_bytes(packed) -> None:
    before = packed.read_bytes()
    assert pack_split(packed.with_suffix(".tsv")).read_bytes() == before


def test_the_pack_needs_neither_manifest_nor_columns(folder, packed) -> None:
    expected = read_text(folder / "train.tsv").read(5)
    for path in folder.iterdir():
        if path != packed:
            path.unlink()
    corpus = open_corpus(folder, "train", ["txt"])
    assert np.array_equal(corpus.read(5), expected)
    assert corpus.columns["txt"][2] == "zwölf"


def test_commands_that_need_the_manifest_say_so_where_there_is_only_a_pack(folder, packed) -> None:
    (folder / "train.tsv").unlink()
    with pytest.raises(BudgetError, match=r"restore the manifest that the .pack beside it was"):
        Manifest.read(folder / "train.tsv")


def test_a_split_that_was_not_packed_is_opened_from_its_manifest(folder) -> None:
    assert type(open_corpus(folder, "train")) is Corpus


def test_a_pickled_pack_is_its_path(folder, packed) -> None:
    pickled = pickle.dumps(open_corpus(folder, "train", ["ids"]))
    assert len(pickled) < 500
    assert pickle.loads(pickled).columns["ids"][3] == "2 2"


def test_a_manifest_that_was_copied_or_touched_still_fits(folder, packed, tmp_path) -> None:
    os.utime(folder / "train.tsv", (1, 1))
    assert len(open_corpus(folder, "train")) == 6
    shutil.copytree(folder, tmp_path / "copy")
    assert len(open_corpus(tmp_path / "copy", "train")) == 6


def test_a_moved_corpus_is_found_where_the_manifest_says(folder, packed, tmp_path) -> None:
    (tmp_path / "audio").rename(tmp_path / "moved")
    body = (folder / "train.tsv").read_text().partition("\n")[2]
    (folder / "train.tsv").write_text(f"{tmp_path / 'moved'}\n{body}")
    corpus = open_corpus(folder, "train")
    corpus.check_files()
    assert len(corpus.read(5)) == 1500


def test_a_pack_of_another_manifest_is_refused_with_the_cure(folder, packed) -> None:
    root, *lines = (folder / "train.tsv").read_text().splitlines()
    (folder / "train.tsv").write_text("\n".join([root, *reversed(lines)]) + "\n")
    with pytest.raises(BudgetError, match=r"another train.tsv .*pack --data .* --splits train"):
        open_corpus(folder, "train")


def test_a_column_that_was_written_again_since_is_refused(folder, packed) -> None:
    write_column(folder / "train.tsv", "ids", NUMBERS, 50, more={"kind": "another"})
    with pytest.raises(BudgetError, match=r"train.ids is not the one in .*make it anew"):
        open_corpus(folder, "train", ["ids"])


@pytest.mark.parametrize("rewrite", [["uno", *TRANSCRIPTS[1:]], ["two", *TRANSCRIPTS[1:]]])
def test_a_column_of_other_lines_is_refused_though_its_description_is_the_same(
    folder, packed, rewrite
) -> None:
    write_column(folder / "train.tsv", "txt", rewrite, None)
    os.utime(folder / "train.txt", (1, 1))
    with pytest.raises(BudgetError, match=r"train.txt is not the one in .*make it anew"):
        open_corpus(folder, "train", ["txt"])


def test_a_column_that_was_copied_or_touched_still_fits(folder, packed) -> None:
    os.utime(folder / "train.txt", (1, 1))
    assert open_corpus(folder, "train", ["txt"]).columns["txt"][0] == "one"


def test_a_column_that_was_not_packed_is_named(folder, packed) -> None:
    with pytest.raises(BudgetError, match="has no column 'km'"):
        open_corpus(folder, "train", ["km"])


@pytest.mark.parametrize("place", [0, 20, -5])
def test_a_damaged_header_is_found_on_opening(folder, packed, place) -> None:
    content = bytearray(packed.read_bytes())
    content[place] ^= 1
    packed.write_bytes(content)
    with pytest.raises(BudgetError, match=r"train.pack.*make it anew"):
        open_corpus(folder, "train")


@pytest.mark.parametrize("length", [0, 30, 64, 1000])
def test_a_pack_that_was_cut_off_is_found_on_opening(folder, packed, length) -> None:
    packed.write_bytes(packed.read_bytes()[:length])
    with pytest.raises(BudgetError, match=r"train.pack.*make it anew"):
        open_corpus(folder, "train")


def test_a_newer_format_is_refused(folder, packed, monkeypatch) -> None:
    monkeypatch.setattr("fairseq_budget.corpus.pack_file.FORMAT_VERSION", 0)
    with pytest.raises(BudgetError, match=r"format_version \d, not 0"):
        open_corpus(folder, "train")


def test_a_damaged_array_is_found_by_the_check(packed) -> None:
    Pack(packed).check()
    place = Pack(packed).header.arrays["ids.values"].offset
    content = bytearray(packed.read_bytes())
    content[place] ^= 1
    packed.write_bytes(content)
    with pytest.raises(BudgetError, match=r"damaged in its array 'ids.values'"):
        Pack(packed).check()


def rewritten(pack: Path, change, behind: bytes = b"") -> None:
    """The pack with another header, whose hash is right."""
    content = pack.read_bytes()
    magic, offset, _, _ = PREFIX.unpack(content[: PREFIX.size])
    header = json.loads(content[offset:])
    change(header)
    text = json.dumps(header).encode()
    prefix = PREFIX.pack(magic, offset, len(text), hashlib.sha256(text).digest())
    pack.write_bytes(prefix + content[PREFIX.size : offset] + text + behind)


ODD = {
    "an array beyond the file": lambda h: h["arrays"]["lines"].update(num_bytes=1 << 40),
    "an array before the file": lambda h: h["arrays"]["lines"].update(offset=-8),
    "an array of objects": lambda h: h["arrays"]["sizes"].update(dtype="O"),
    "an array without a place": lambda h: h["arrays"]["sizes"].pop("offset"),
    "half a number": lambda h: h["arrays"]["sizes"].update(num_bytes=9),
    "sizes of fewer lines": lambda h: h["arrays"]["sizes"].update(num_bytes=8),
    "lines that end elsewhere": lambda h: h["arrays"]["lines"].update(num_bytes=8),
    "starts of another number": lambda h: h["arrays"]["ids.values.starts"].update(num_bytes=16),
    "more lines than there are": lambda h: h.update(num_utterances=7),
    "no number of lines": lambda h: h.pop("num_utterances"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_arrays_that_cannot_be_are_found_on_opening(packed, change) -> None:
    rewritten(packed, lambda header: None)
    Pack(packed)
    rewritten(packed, change)
    with pytest.raises(BudgetError, match=r"train.pack.*make it anew"):
        Pack(packed)


def test_bytes_behind_a_pack_are_found_on_opening(packed) -> None:
    rewritten(packed, lambda header: None, behind=b"more")
    with pytest.raises(BudgetError, match=r"is no pack, or damaged or cut off.*make it anew"):
        Pack(packed)


def test_missing_files_are_found_when_training_starts(folder, packed) -> None:
    corpus = open_corpus(folder, "train")
    (corpus.root / corpus.name(0)).unlink()
    with pytest.raises(BudgetError, match=r"1 of the 5 files"):
        corpus.check_files()


def test_the_header_is_json(packed) -> None:
    header = asdict(Pack(packed).header)
    assert json.loads(json.dumps(header)) == header
    assert header["num_utterances"] == 6


def sign(packed: Path, change) -> None:
    """Change the header of a pack, and sign it anew."""
    content = packed.read_bytes()
    magic, offset, length, _ = PREFIX.unpack(content[: PREFIX.size])
    header = json.loads(content[offset : offset + length])
    change(header)
    text = json.dumps(header).encode()
    prefix = PREFIX.pack(magic, offset, len(text), hashlib.sha256(text).digest())
    packed.write_bytes(prefix + content[PREFIX.size : offset] + text)


ODD_HEADERS = {
    "no root": lambda header: header.pop("root"),
    "a number as root": lambda header: header.update(root=5),
    "no samples": lambda header: header.update(num_samples=None),
    "more utterances": lambda header: header.update(num_utterances=7),
    "no lines": lambda header: header["arrays"].pop("lines"),
    "no starts": lambda header: header["arrays"].pop("ids.values.starts"),
    "another type": lambda header: header["arrays"]["sizes"].update(dtype="<u4"),
    "objects": lambda header: header["arrays"]["sizes"].update(dtype="|O"),
    "a place beyond the end": lambda header: header["arrays"]["sizes"].update(offset=1 << 40),
    "a place before the start": lambda header: header["arrays"]["sizes"].update(offset=-8),
    "half a number": lambda header: header["arrays"]["by_size"].update(num_bytes=23),
    "fewer values": lambda header: header["arrays"]["ids.values"].update(num_bytes=2),
    "a column without a description": lambda header: header["columns"]["ids"].pop("description"),
    "a column that is text": lambda header: header["columns"].update(ids="5"),
}


@pytest.mark.parametrize("kind", ODD_HEADERS)
def test_a_header_that_nothing_has_packed_is_an_error_that_names_the_pack(
    folder, packed, kind
) -> None:
    sign(packed, ODD_HEADERS[kind])
    with pytest.raises(BudgetError, match=r"train\.pack .*make it anew"):
        open_corpus(folder, "train", ["txt", "ids"])


def test_text_that_has_changed_into_none_is_an_error(folder, packed) -> None:
    place = Pack(packed).header.arrays["txt.lines"].offset
    content = bytearray(packed.read_bytes())
    content[place] = 0xFF
    packed.write_bytes(content)
    with pytest.raises(BudgetError, match=r"line 1 of column 'txt': .*write it again"):
        open_corpus(folder, "train", ["txt"]).columns["txt"][0]


def test_a_size_that_is_not_its_lines_is_found_when_the_utterance_is_read(folder, packed) -> None:
    place = Pack(packed).header.arrays["sizes"].offset
    content = bytearray(packed.read_bytes())
    content[place] ^= 1
    packed.write_bytes(content)
    with pytest.raises(BudgetError, match=r"line 2: \d+ samples, but \d+ stand beside them"):
        open_corpus(folder, "train").utterance(0)


def test_pages_are_given_back_and_mapped_again(folder, packed, monkeypatch) -> None:
    monkeypatch.setattr("fairseq_budget.corpus.pack_file.RELEASE_AFTER", 1)
    corpus = open_corpus(folder, "train", ["ids"])
    for _ in range(3):
        assert corpus.columns["ids"][3] == "2 2"
        assert corpus.utterance(5).num_samples == 1_500
        assert corpus.sizes[5] == 1_500
