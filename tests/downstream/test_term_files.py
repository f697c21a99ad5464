"""Recordings as QbE of s3prl reads them: documents, spoken queries, and what holds what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import audio_info, read_audio, write_audio
from fairseq_budget.downstream.layout import Layout, Request, make_layout
from fairseq_budget.downstream.term_files import MAX_DOCUMENTS, MAX_QUERIES
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.term_detection import read_truth, truth_file


def lay_table(folder: Path, *rows: str, words: str = "") -> Layout:
    """The layout of recordings, each a second of its own sound, of which a table says this."""
    folder.mkdir()
    for number, row in enumerate(rows):
        wave = np.linspace(0, 0.1 + number / 10, 16000, dtype=np.float32)
        write_audio(folder / row.split("\t")[0], wave, 16000)
    table = folder / "table.tsv"
    table.write_text("\n".join(["path\tsplit\ttranscript", *rows]) + "\n")
    if words:
        (folder / "words.tsv").write_text(f"utterance_id\tstart_s\tend_s\tword\n{words}")
    return make_layout(Request("qbe", str(folder), table=str(table)), folder.parent / "qbe")


def truth_of(layout: Layout, part: str) -> dict[str, set[str]]:
    return read_truth(truth_file(layout.folder, part))


def listed(layout: Layout, name: str) -> list[Path]:
    lines = (layout.folder / "scoring" / f"language_key_{name}.lst").read_text().splitlines()
    assert all(line.split()[1] == "nnenglish" for line in lines)
    return [layout.folder / line.split()[0].partition("/")[2] for line in lines]


def test_a_document_holds_words_that_follow_each_other_in_it(tmp_path: Path) -> None:
    layout = lay_table(
        tmp_path / "in",
        "a.wav\ttrain\tthe red lamp is on",
        "b.wav\ttrain\tRed  lamps",
        "c.flac\ttrain\ta red old lamp; Red lamp, too",
        "d.wav\tvalid\tRed lamp!",
        "e.wav\tvalid\tblue lamp",
        "f.wav\ttest\tred",
    )
    assert layout.classes == {"quesst14_dev_0001": "red lamp", "quesst14_eval_0001": "red"}
    documents = listed(layout, "utterances")
    assert [path.name for path in documents] == [
        "quesst14_00001.wav", "quesst14_00002.wav", "quesst14_00003.flac",
    ]  # fmt: skip
    assert [path.resolve().name for path in documents] == ["a.wav", "b.wav", "c.flac"]
    assert [path.resolve().name for path in listed(layout, "dev")] == ["d.wav"]
    names = [path.stem for path in documents]
    assert truth_of(layout, "dev") == {"quesst14_dev_0001": {names[0], names[2]}}
    assert truth_of(layout, "eval") == {"quesst14_eval_0001": set(names)}


def test_queries_that_are_nowhere_in_train_are_told(tmp_path: Path) -> None:
    rows = ("a.wav\ttrain\tred lamp", "b.wav\tvalid\tred", "c.wav\ttest\tblue")
    with pytest.raises(BudgetError, match="test: none of its queries is held by some of the 1 doc"):
        lay_table(tmp_path / "in", *rows)


def test_words_that_too_many_documents_hold_are_no_query_to_cut_out(
    tmp_path: Path,
) -> None:
    rows = ["a.wav\ttrain\tred", "b.wav\ttrain\tred", "c.wav\ttrain\tred"]
    rows += ["d.wav\tvalid\tred", "e.wav\ttest\tred"]
    words = "d\t0\t1\tred\ne\t0\t1\tred\n"
    with pytest.raises(BudgetError, match="none of its queries is held by 2 to 2 of the 3 docum"):
        lay_table(tmp_path / "in", *rows, words=words)


def test_times_of_documents_alone_cut_no_query(tmp_path: Path) -> None:
    rows = ("a.wav\ttrain\tred", "b.wav\tvalid\tred", "c.wav\ttest\tred")
    layout = lay_table(tmp_path / "in", *rows, words="a\t0\t1\tred\n")
    assert listed(layout, "dev")[0].resolve().name == "b.wav"


def test_where_words_are_timed_queries_are_cut_out(tmp_path: Path) -> None:
    layout = lay_table(
        tmp_path / "in",
        "a.wav\ttrain\ta red lamp",
        "b.wav\ttrain\tthe red lamp",
        "c.wav\ttrain\tgo",
        "d.wav\tvalid\tone red lamp",
        "e.wav\ttest\ttwo red lamps",
        words="d\t0\t0.4\tone\nd\t0.4\t0.5\tred\nd\t0.5\t0.9\tlamp\n"
        "e\t0\t0.2\ttwo\ne\t0.25\t0.75\tred\ne\t0.8\t1\tlamps\n",
    )
    # "red" of valid is too short, and "one" is in no document
    assert layout.classes == {
        "quesst14_dev_0001": "red lamp",
        "quesst14_dev_0002": "lamp",
        "quesst14_eval_0001": "red",
    }
    [query] = listed(layout, "eval")
    whole = read_audio(tmp_path / "in" / "e.wav")
    np.testing.assert_array_equal(read_audio(query), whole[4000:12000])
    assert truth_of(layout, "dev")["quesst14_dev_0001"] == {"quesst14_00001", "quesst14_00002"}


def test_other_times_of_words_make_another_layout(tmp_path: Path) -> None:
    rows = ("a.wav\ttrain\tred", "b.wav\ttrain\tred", "c.wav\tvalid\tred", "d.wav\ttest\tred")
    layout = lay_table(tmp_path / "in", *rows, words="c\t0\t1\tred\nd\t0\t1\tred\n")
    layout.require_sound()
    words = tmp_path / "in" / "words.tsv"
    words.write_text(words.read_text().replace("\t1\t", "\t0.9\t"))
    with pytest.raises(BudgetError, match="not those that it was made of"):
        layout.require_sound()


def test_the_demo_corpus_gives_a_few_documents_to_each_of_some_queries(
    demo_folder: Path, tmp_path: Path
) -> None:
    one, other = (
        make_layout(Request("qbe", str(demo_folder)), tmp_path / name) for name in ("one", "other")
    )
    assert one.classes == other.classes
    assert len(listed(one, "utterances")) == MAX_DOCUMENTS
    for part in ("dev", "eval"):
        queries, truth = listed(one, part), truth_of(one, part)
        assert 10 <= len(queries) <= MAX_QUERIES
        assert truth.keys() == {path.stem for path in queries}
        assert all(2 <= len(documents) <= 6 for documents in truth.values())
        assert all(4800 <= audio_info(path).num_samples <= 32000 for path in queries)
        words = [one.classes[path.stem] for path in queries]
        assert len(set(words)) == len(words)
        assert all(1 <= len(query.split()) <= 3 for query in words)
