"""budget-plan match, as users type it."""

from __future__ import annotations

import json
import re

import pytest

from fairseq_budget.cli.manifest.command import main as manifest_main
from fairseq_budget.cli.plan.command import main
from tests.synthetic import write_tone_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    write_tone_corpus(folder, 12, seconds=(0.5, 2.0)).write(folder / "test.tsv")
    return folder / "test.tsv"


def found(capsys, manifest, *words: str) -> dict:
    assert main(["match", "--manifest", str(manifest), *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_recommendation_with_its_reason_and_the_overrides(capsys, manifest):
    assert main(["match", "--manifest", str(manifest), "--gpus", "2"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"12 utterances, 0.00 h; mean 1\.\d\d s", text)
    assert "Pre-train at 5 s: the shortest of" in text
    assert "dataset.batch_size=17 dataset.max_tokens=1428000 optimization.update_freq=[34]" in text
    assert "An update then holds 5,780 s" in text
    assert re.search(r"Against 15 s, 5 s save 6.2% of the FLOPs", text)
    assert re.search(r"\| ASV \(EER\) .*\| 15 s +\| 10 s +\|", text)
    bars = re.findall(r"^ +[\d.]+ (?:up|- [\d.]+) +s #+ +(\d+)$", text, re.MULTILINE)
    assert sum(map(int, bars)) == 12


def test_json_holds_all_of_it_for_any_size_and_objective(capsys, manifest, tmp_path):
    options = ["--size", "zipformer_tiny", "--objective", "tera", "--update-seconds", "60"]
    result = found(capsys, manifest, *options, "--png", str(tmp_path / "match.png"))
    assert (result["num_utterances"], result["recommended_s"]) == (12, 5)
    assert [row["update_audio_s"] for row in result["lengths"]] == [60] * 4
    assert [task["best_s"] for task in result["paper"]] == [10, 5, 5, 5, 10, 15, 15]
    assert "model.size=zipformer_tiny dataset.batch_size=12 " in result["overrides"]
    assert (tmp_path / "match.png").read_bytes().startswith(b"\x89PNG")


def test_a_packed_set_is_read_alike(capsys, manifest, tmp_path):
    text = found(capsys, manifest)
    copy = tmp_path / "test.tsv"
    copy.write_bytes(manifest.read_bytes())
    assert manifest_main(["pack", "--data", str(tmp_path), "--splits", "test"]) == 0
    capsys.readouterr()
    assert found(capsys, copy) == text | {"manifest": str(copy)}
    copy.unlink()
    assert found(capsys, copy)["mean_s"] == text["mean_s"]


def test_long_utterances_save_nothing(capsys, tmp_path):
    (tmp_path / "long.tsv").write_text("/audio\na.wav\t480000\nb.wav\t320000\n")
    assert main(["match", "--manifest", str(tmp_path / "long.tsv")]) == 0
    text = capsys.readouterr().out
    assert "Pre-train at 15 s" in text
    assert "nothing is saved" in text


def test_a_gpu_too_small_and_a_missing_manifest_are_one_line(capsys, manifest, tmp_path):
    assert main(["match", "--manifest", str(manifest), "--gpu-gib", "1"]) == 2
    assert re.fullmatch(r"budget-plan: error: .* raise --gpu-gib.*\n", capsys.readouterr().err)
    assert main(["match", "--manifest", str(tmp_path / "no.tsv")]) == 2
    assert "cannot read the manifest" in capsys.readouterr().err
