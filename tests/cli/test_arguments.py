"""Values on the command line that would be accepted or end in a traceback if nobody looked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq_budget.cli.asr.command import main as asr
from fairseq_budget.cli.downstream.command import main as downstream
from fairseq_budget.cli.export import main as export
from fairseq_budget.cli.labels.command import main as labels
from fairseq_budget.cli.manifest.command import main as manifest
from fairseq_budget.cli.plan.command import main as plan
from fairseq_budget.cli.report.command import main as report
from tests.synthetic import write_tone_corpus

MAKE = ["make", "--data", "x", "--clusters", "9"]
ABUSES = [
    (labels, [*MAKE, "--sample-hours", "nan"]),
    (labels, [*MAKE, "--max-bad-share", "nan"]),
    (labels, [*MAKE, "--max-bad-share", "2"]),
    (labels, [*MAKE, "--device", "foo"]),
    (labels, ["make", "--data", "x", "--clusters", "0"]),
    (manifest, ["--trainpref", "x", "--destdir", "y", "--min-seconds", "nan"]),
    (manifest, ["--trainpref", "x", "--destdir", "y", "--max-seconds", "-1"]),
    (labels, [*MAKE, "--sample-frames", "0"]),
    (labels, [*MAKE, "--workers", "0"]),
    (manifest, ["hash", "x", "--workers", "-1"]),
    (labels, [*MAKE, "--seed", "-1"]),
    (labels, [*MAKE, "--seed", "99999999999999999999"]),
    (labels, ["segment", "--data", "x", "--penalty", "1", "--seed", "-1"]),
    (manifest, ["cut", "--manifest", "x", "--destdir", "y", "--seconds", "1", "--seed", "-2"]),
    (plan, ["updates", "--gpus", "0"]),
    (plan, ["updates", "--flops", "1e18", "--warmup-updates", "-5"]),
    (plan, ["updates", "--flops", "1e18", "--seconds-per-gpu", "1e-9"]),
    (plan, ["updates", "--flops", "1e18", "--sequence-seconds", "1e-9"]),
    (plan, ["updates", "--flops", "1e18", "--sequence-seconds", "1e12"]),
    (plan, ["params", "--num-classes", "-1"]),
    (plan, ["units", "--manifest", "x", "--transcripts", "y", "--word-pieces", "0"]),
    (plan, ["length", "--seconds", "1e9"]),
    (plan, ["macs", "--subsample", "average", "--rate", "nan"]),
    (plan, ["measure", "--seconds-per-gpu", "0.001"]),
    (export, ["x", "y", "--untrained", "99999999999999999999"]),
    (asr, ["decode", "x", "y", "--beam", "0"]),
    (plan, ["measure", "--device", "foo"]),
]


@pytest.mark.parametrize(("main", "words"), ABUSES, ids=[" ".join(w[-2:]) for _, w in ABUSES])
def test_a_value_that_cannot_be_is_refused_with_its_name(main, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words[-1] in said
    assert words[-2] in said
    assert "Traceback" not in said


FIT = ("fit", "--data", "{data}", "--clusters", "9")
MANIFEST = ("--manifest", "{data}/train.tsv")
WRONG = {
    "a budget of no update": (plan, ["updates", "--flops", "1e3"], "one costs 3.1e+10 FLOPs; give"),
    "a budget of no update of one of them": (
        plan, ["updates", "--flops", "3e12", "--overrides"], "no update of large: one costs 1e+13",
    ),
    "a rate of nothing": (plan, ["macs", "--rate", "0"], "a rate without a subsampling"),
    "a sample of no frame": (labels, [*FIT, "--sample-hours", "1e-9"], "of 3e-06 hours or more"),
    "fewer word pieces than there must be": (
        asr, ["prepare", "--data", "{data}", "--transcripts", "{data}/{{split}}.wrd", "--splits",
              "train", "--word-pieces", "2"], "2 word pieces: expected 4",
    ),
    "more word pieces than can be": (
        asr, ["prepare", "--data", "{data}", "--transcripts", "{data}/{{split}}.wrd", "--splits",
              "train", "--word-pieces", "100000000000"], "to 1,048,576",
    ),
    "a misspelt split": (
        asr, ["prepare", "--data", "{data}", "--transcripts", "{data}/{{splt.x}}.wrd", "--splits",
              "train"], "cannot read the transcripts",
    ),
    "an utterance that is not there": (
        report, ["run", "--log", "x", "--checkpoint", "x", *MANIFEST, "--out", "x",
                 "--utterance", "2"], "--utterance 2: {data}/train.tsv has 0 to 1",
    ),
    "an utterance before the first": (
        report, ["run", "--log", "x", "--checkpoint", "x", *MANIFEST, "--out", "x",
                 "--utterance", "-1"], "--utterance -1: {data}/train.tsv has 0 to 1",
    ),
    "scores of another kind": (report, ["scores", "{data}/scores.json", "--out", "x"],
                               "table is 3, expected a list"),
    "a layout in a file": (
        downstream, ["layout", "--task", "sid", "--audio", "{data}/audio", "--pattern",
                     "{{speaker}}_{{take}}", "--test", "take=000", "--out", "{data}/train.tsv"],
        "train.tsv is a file; choose a folder",
    ),
    "a layout below a file": (
        downstream, ["layout", "--task", "sid", "--audio", "{data}/audio", "--test", "take=000",
                     "--out", "{data}/train.tsv/x"], "cannot make --out",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two utterances with transcripts, and a file of scores that is none."""
    folder = tmp_path_factory.mktemp("data")
    write_tone_corpus(folder / "audio", 2).write(folder / "train.tsv")
    (folder / "train.wrd").write_text("a b\nb\n")
    scores = {"task": "ic", "num_classes": 2, "num_utterances": {}, "table": 3, "runs": []}
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


@pytest.mark.parametrize(("main", "words", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_done_is_an_error_in_one_line(main, words, expected, data, capsys):
    assert main([word.format(data=data) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert expected.format(data=data) in said.splitlines()[-1]
