"""Audio that was replaced is found, even by audio as long; another lossless format is the same."""

import pytest
import soundfile

from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.audio_hashes import changed_audio, write_audio_hashes
from tests.synthetic import tone, write_tone_corpus


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "train.tsv"
    write_tone_corpus(tmp_path, 4, extensions=("wav",)).write(path)
    return path


def files(manifest) -> list:
    return sorted(manifest.parent.rglob("*.wav"))


def test_what_stays_is_the_same_and_what_was_replaced_is_named(manifest):
    write_audio_hashes(manifest, 1)
    assert changed_audio(manifest, 1) == []
    file = files(manifest)[2]
    samples, rate = soundfile.read(file, dtype="float32")
    soundfile.write(file, samples, rate, subtype="FLOAT")  # the same samples in other bytes
    assert changed_audio(manifest, 1) == []
    soundfile.write(file, tone(len(samples), seed=99), rate)
    assert [name.endswith(file.name) for name in changed_audio(manifest, 1)] == [True]
    file.write_bytes(b"RIFF")
    assert len(changed_audio(manifest, 1)) == 1


def test_hashes_of_another_manifest_are_refused(manifest):
    with pytest.raises(BudgetError, match=r"train\.audio"):
        changed_audio(manifest, 1)


def test_the_command_names_what_has_changed(manifest, capsys):
    from fairseq_budget.cli.manifest.command import main

    words = ["hash", "--data", str(manifest.parent), "--splits", "train", "--workers", "1"]
    assert main(words) == 0
    assert main([*words, "--check"]) == 0
    assert "all as it was" in capsys.readouterr().out
    soundfile.write(files(manifest)[0], tone(1600, seed=5), 16000)
    assert main([*words, "--check"]) == 2
    assert "1 utterances of" in capsys.readouterr().err
