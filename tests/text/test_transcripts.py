"""Transcripts and phones, from every place in which corpora keep them."""

import pytest

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.errors import BudgetError
from fairseq_budget.text.transcripts import read_phones, read_transcripts

WORDS = ["the dog", "a  fox runs "]
EXPECTED = ["the dog", "a fox runs"]


@pytest.fixture
def manifest(tmp_path):
    pieces = [Piece("spk/b.wav"), Piece("spk/a.flac")]
    return Manifest(tmp_path, [Utterance((piece,), 16000) for piece in pieces])


def write(path, *lines: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_lines_belong_to_utterances_in_order(tmp_path, manifest):
    assert read_transcripts(write(tmp_path / "train.wrd", *WORDS), manifest) == EXPECTED


def test_letters_are_joined_to_words(tmp_path, manifest):
    path = write(tmp_path / "train.ltr", "t h e | d o g |", "a | f o x | r u n s |")
    assert read_transcripts(path, manifest) == EXPECTED


def test_the_demo_corpus_table_is_looked_up_by_name(tmp_path, manifest):
    rows = [f"{name}\ttrain/spk/{name}.wav\t{text}" for name, text in zip("ba", WORDS, strict=True)]
    path = write(tmp_path / "utterances.tsv", "id\tpath\ttranscript", *rows)
    assert read_transcripts(path, manifest) == EXPECTED


def test_librispeech_folders_are_searched(tmp_path, manifest):
    write(tmp_path / "1/2/1-2.trans.txt", f"a {WORDS[1]}")
    write(tmp_path / "3/4/3-4.trans.txt", f"b {WORDS[0]}", "c not asked for")
    assert read_transcripts(tmp_path, manifest) == EXPECTED


def test_phones_come_from_lines_or_from_a_table_and_silence_is_none(tmp_path, manifest):
    lines = write(tmp_path / "train.phn", "sil dh ax", "f aa k s")
    table = write(
        tmp_path / "phones.tsv", "utterance_id\tstart_s\tend_s\tphone", "b\t0\t0.1\tsil",
        "b\t0.1\t0.2\tdh", "b\t0.2\t0.3\tax", "a\t0\t0.1\tf", "a\t0.1\t0.2\taa", "a\t0.2\t0.3\tk",
        "a\t0.3\t0.4\ts",
    )  # fmt: skip
    expected = [["dh", "ax"], ["f", "aa", "k", "s"]]
    assert read_phones(lines, manifest) == read_phones(table, manifest) == expected


def test_what_does_not_fit_the_manifest_is_an_error(tmp_path, manifest):
    with pytest.raises(BudgetError, match=r"has 1 lines, but its manifest has 2 utterances"):
        read_transcripts(write(tmp_path / "train.wrd", "the dog"), manifest)
    folder = write(tmp_path / "libri/1.trans.txt", "a fox").parent
    with pytest.raises(BudgetError, match=r"lacks 1 of the 2 utterances, 'b' first"):
        read_transcripts(folder, manifest)
    with pytest.raises(BudgetError, match="cannot read the transcripts"):
        read_transcripts(tmp_path / "missing", manifest)
    with pytest.raises(BudgetError, match="is empty"):
        read_transcripts(write(tmp_path / "empty"), manifest)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BudgetError, match=r"no \*\.trans\.txt"):
        read_transcripts(tmp_path / "nothing", manifest)


def test_cut_manifests_need_lines_of_their_own(tmp_path):
    cut = Manifest(tmp_path, [Utterance((Piece("a.wav", 0, 800), Piece("b.wav", 0, 800)), 1600)])
    assert read_transcripts(write(tmp_path / "cut.wrd", "the dog"), cut) == ["the dog"]
    folder = write(tmp_path / "libri/1.trans.txt", "a fox").parent
    with pytest.raises(BudgetError, match="joins pieces"):
        read_transcripts(folder, cut)


@pytest.mark.parametrize("row", ["b\tb.wav", "b\tb.wav\tthe dog\tx", "b\tb.wav\t" + "x" * 200_000])
def test_a_table_with_a_row_of_another_width_is_an_error(tmp_path, manifest, row):
    path = write(tmp_path / "utterances.tsv", "id\tpath\ttranscript", "a\ta.flac\ta fox", row)
    with pytest.raises(BudgetError, match=r"transcripts .*utterances\.tsv \(line 3"):
        read_transcripts(path, manifest)
