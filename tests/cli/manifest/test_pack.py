"""``budget-manifest pack``, as it is typed."""

from __future__ import annotations

import pytest

from fairseq_budget.cli.manifest.command import main
from fairseq_budget.corpus.column import write_column
from fairseq_budget.corpus.pack_file import Pack
from fairseq_budget.corpus.packed import open_corpus
from tests.synthetic import write_tone_corpus


@pytest.fixture
def folder(tmp_path):
    write_tone_corpus(tmp_path, 4).write(tmp_path / "train.tsv")
    write_column(tmp_path / "train.tsv", "txt", ["a", "b", "c", "d"], None)
    return tmp_path


def test_pack_says_what_it_packed_and_check_finds_it_whole(folder, capsys):
    assert main(["pack", "--data", str(folder), "--splits", "train"]) == 0
    out = capsys.readouterr().out
    assert "train.pack: 4 utterances, 0.00 hours, txt" in out
    assert main(["pack", "--data", str(folder), "--splits", "train", "--check"]) == 0


def test_check_finds_damage(folder, capsys):
    main(["pack", "--data", str(folder), "--splits", "train"])
    place = Pack(folder / "train.pack").header.arrays["sizes"].offset
    content = bytearray((folder / "train.pack").read_bytes())
    content[place] ^= 1
    (folder / "train.pack").write_bytes(content)
    assert main(["pack", "--data", str(folder), "--splits", "train", "--check"]) == 2
    assert "damaged in its array 'sizes'" in capsys.readouterr().err


@pytest.mark.parametrize("absolute", [False, True])
def test_a_kaldi_folder_is_packed_in_one_command(folder, tmp_path, absolute):
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    files = sorted(folder.rglob("*.wav"))
    names = files if absolute else [path.relative_to(folder) for path in files]
    (kaldi / "wav.scp").write_text("".join(f"utt{i} {name}\n" for i, name in enumerate(names)))
    command = ["pack", "--data", str(tmp_path / "out"), "--splits", "train"]
    assert main([*command, "--kaldi", str(kaldi), "--root", str(folder)]) == 0
    corpus = open_corpus(tmp_path / "out", "train")
    assert [corpus.name(i) for i in range(len(corpus))] == [str(name) for name in names]
    assert len(corpus.read(0)) == corpus.sizes[0]


def test_an_import_into_several_splits_is_an_error(folder, capsys):
    assert main(["pack", "--data", str(folder), "--kaldi", str(folder)]) == 2
    assert "make one split: name it" in capsys.readouterr().err


def test_labels_are_taken_from_cuts_only(folder, capsys):
    command = ["pack", "--data", str(folder), "--splits", "train", "--kmeans", "500"]
    assert main(command) == 2
    assert "--kmeans 500: expected" in capsys.readouterr().err
