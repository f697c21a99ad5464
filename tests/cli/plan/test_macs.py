"""budget-plan macs, feasibility and units, as users type them."""

import sys

import pytest

from fairseq_budget.cli.plan.command import main
from tests.cli.plan.printed import rows

WORDS = ["the dog sees the fox", "a fox jumps over the dog", "the fox and the lazy dog"]


@pytest.fixture
def corpus(tmp_path):
    """Three utterances of one second with transcripts and phones."""
    manifest, words, phones = (tmp_path / name for name in ("t.tsv", "t.wrd", "t.phn"))
    manifest.write_text(f"{tmp_path}\n" + "".join(f"{i}.wav\t16000\n" for i in range(3)))
    words.write_text("\n".join(WORDS) + "\n")
    phones.write_text("dh ax d ao g\nax f aa k s\ndh ax sil f\n")
    return ["--manifest", str(manifest), "--transcripts", str(words), "--phones", str(phones)]


def test_macs_without_options_are_the_papers_table(capsys):
    found = rows(capsys, "macs")
    assert len(found) == 16
    assert found[1]["paper_gmacs"] == 758.9
    assert main(["macs"]) == 0
    text = capsys.readouterr().out
    assert "digits swapped" in text
    assert "as profiled" not in text
    avg = next(line for line in text.splitlines() if line.startswith("| avg 2 "))
    assert "664.45 " in avg
    main(["macs", "--profiler"])
    assert "664.59 " in capsys.readouterr().out


def test_macs_of_a_student_stand_beside_the_teachers(capsys):
    teacher, student = rows(capsys, "macs", "--subsample", "average", "--rate", "4")
    assert teacher["parameters"] == 94_371_712
    assert student["gmacs"] == pytest.approx(607.28, abs=0.01)
    (_, slim) = rows(capsys, "macs", "--size", "slim", "--layers", "6")
    assert slim["frame_rate_hz"] == 50


def test_macs_of_measured_segments_and_of_a_manifest(capsys, corpus):
    words = ["macs", "--subsample", "cif", "--segments-per-second", "10"]
    (_, student) = rows(capsys, *words)
    assert student["frame_rate_hz"] == pytest.approx(10, rel=0.01)
    (_, short) = rows(capsys, *words, *corpus[:2])
    assert short["gmacs"] < student["gmacs"] / 50  # 3 s and 225 s of audio


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rate", "2"], "a rate without a subsampling"),
        (["--subsample", "average", "--rate", "2.5"], "subsample_rate=2.5"),
        (["--subsample", "average", "--rate", "0"], "subsample_rate=0"),
        (["--subsample", "conv", "--segments-per-second", "10"], "whose rate is fixed"),
    ],
)
def test_macs_of_what_there_is_not_are_one_line(capsys, words, message):
    assert main(["macs", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_feasibility_of_each_unit_at_each_rate(capsys, corpus):
    found = rows(capsys, "feasibility", *corpus, "--word-pieces", "30", "--rates", "1", "4")
    assert [(row["unit"], row["rate"]) for row in found] == [
        ("phones", 1), ("phones", 4), ("characters", 1), ("characters", 4),
        ("30 word pieces", 1), ("30 word pieces", 4),
    ]  # fmt: skip
    infeasible = {(row["unit"], row["rate"]): row["infeasible"] for row in found}
    assert infeasible["phones", 4] == 0
    assert infeasible["characters", 1] == 0
    assert infeasible["characters", 4] == 1  # 20 letters in 13 frames


def test_units_per_second_and_their_picture(capsys, corpus, tmp_path):
    png = tmp_path / "units.png"
    found = rows(capsys, "units", *corpus, "--word-pieces", "30", "--png", str(png))
    rates = {row["unit"]: row["rate_hz"] for row in found}
    assert rates["phones"] == pytest.approx(13 / 3)
    assert rates["characters"] == pytest.approx(sum(map(len, WORDS)) / 3)
    assert png.read_bytes().startswith(b"\x89PNG")


def test_vocabularies_beyond_the_text_are_left_out_by_name(capsys, corpus):
    assert main(["units", *corpus, "--word-pieces", "30", "16000"]) == 0
    out, err = capsys.readouterr()
    assert "30 word pieces" in out
    assert "16000" not in out
    assert "left out: 16000 word pieces of 3 sentences" in err


def test_transcripts_of_another_manifest_are_one_line(capsys, corpus, tmp_path):
    (tmp_path / "t.wrd").write_text("one line\n")
    assert main(["feasibility", *corpus]) == 2
    assert "has 1 lines" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--layers", "--segments-per-second"])
def test_counts_and_rates_are_positive(capsys, option):
    with pytest.raises(SystemExit):
        main(["macs", option, "0"])
    assert "no positive number" in capsys.readouterr().err


def test_word_pieces_alone_ask_for_sentencepiece(capsys, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    monkeypatch.delitem(sys.modules, "fairseq_budget.text.word_pieces", raising=False)
    assert main(["feasibility", *corpus, "--rates", "1"]) == 0
    assert main(["units", *corpus]) == 2
    assert 'pip install "fairseq_budget[labels]"' in capsys.readouterr().err
