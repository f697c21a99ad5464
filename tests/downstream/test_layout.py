from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.io import audio_info, write_audio
from fairseq_budget.downstream import layout as layout_module
from fairseq_budget.downstream.layout import Layout, Request, make_layout, read_layout
from fairseq_budget.downstream.recordings import (
    Recording,
    hold_out,
    keep_shots,
    read_recordings,
    select,
)
from fairseq_budget.downstream.sweep import read_layouts
from fairseq_budget.downstream.task_files import KEYWORDS
from fairseq_budget.errors import BudgetError

PATTERN = "{label}_{speaker}_{take}"


def lay(digits: Path, folder: Path, task: str, **options: object) -> Layout:
    filters = {"train": "take=2-7", "test": "take=0-1"}
    request = Request(task, str(digits), **{**filters, **options})  # type: ignore[arg-type]
    return make_layout(request, folder)


def takes(recordings: list[Recording]) -> list[int]:
    return [int(recording.fields["take"]) for recording in recordings]


def test_names_are_parsed_by_the_pattern(digits: Path) -> None:
    recordings = read_recordings(digits, PATTERN)
    assert len(recordings) == 48
    assert recordings[0].fields == {"label": "0", "speaker": "ann", "take": "0"}


def test_a_pattern_may_name_folders(tmp_path: Path) -> None:
    path = tmp_path / "yes" / "ann_3.wav"
    write_audio(path, np.zeros(400, dtype=np.float32), 16000)
    [recording] = read_recordings(tmp_path, "{label}/{speaker}_{take}")
    assert recording.fields == {"label": "yes", "speaker": "ann", "take": "3"}


def test_a_name_that_does_not_fit_is_an_error(digits: Path) -> None:
    with pytest.raises(BudgetError, match=r"0_ann_0.*does not fit --pattern"):
        read_recordings(digits, "{label}-{take}")
    with pytest.raises(BudgetError, match="--pattern"):
        read_recordings(digits, "{label}_{label}")


def test_a_table_gives_its_commands_or_all_with_the_phones_beside_it(tmp_path: Path) -> None:
    rows = ["path\tkind\tspeaker", "a.wav\tcommand\tann", "b.wav\tsentence\tann"]
    (tmp_path / "utterances.tsv").write_text("\n".join(rows) + "\n")
    [recording] = read_recordings(tmp_path, PATTERN)
    assert recording.path == tmp_path.resolve() / "a.wav"
    assert recording.fields["speaker"] == "ann"
    spans = ["utterance_id\tstart_s\tend_s\tphone", "b\t0\t1\tsil", "b\t1\t2\tæ", "b\t2\t3\tm"]
    (tmp_path / "phones.tsv").write_text("\n".join(spans) + "\n")
    _, sentence = read_recordings(tmp_path, PATTERN, commands_only=False)
    assert sentence.fields == {
        "path": "b.wav",
        "kind": "sentence",
        "speaker": "ann",
        "phones": "æ m",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'path,transcript\nx/1.wav,"no, stop"\n'),
        ("a.tsv", "\ufeffpath\ttranscript\nx/1.wav\tno, stop\n"),
    ],
)
def test_a_table_is_separated_by_commas_or_tabs(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    [recording] = read_recordings(tmp_path / "audio", PATTERN, tmp_path / name)
    assert recording.path == tmp_path.resolve() / "audio/x/1.wav"
    assert recording.fields["transcript"] == "no, stop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.wav\n", "line 2: 1 columns instead of 2"),
        ("path,label\na.wav,1,2\n", "line 2: 3 columns instead of 2"),
        ("file,label\na.wav,1\n", "it has no 'path'.*a column `path`"),
        ("path,label\n", "no row"),
    ],
)
def test_a_table_of_another_shape_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BudgetError, match=message):
        read_recordings(tmp_path, PATTERN, tmp_path / "a.csv")
    with pytest.raises(BudgetError, match=r"cannot read .*b\.csv \(No such file"):
        read_recordings(tmp_path, PATTERN, tmp_path / "b.csv")


def test_filters_take_ranges_and_lists_and_hold_together(digits: Path) -> None:
    recordings = read_recordings(digits, PATTERN)
    chosen = select(recordings, "take=2-4,7 speaker=bob label=1")
    assert takes(chosen) == [2, 3, 4, 7]
    assert {recording.fields["speaker"] for recording in chosen} == {"bob"}


@pytest.mark.parametrize("conditions", ["take", "take=", "=3", "tak3=3"])
def test_a_filter_of_another_shape_is_an_error(conditions: str, digits: Path) -> None:
    with pytest.raises(BudgetError, match="field"):
        select(read_recordings(digits, PATTERN), conditions)


def test_a_share_is_drawn_of_what_no_filter_takes(digits: Path, tmp_path: Path) -> None:
    drawn = lay(digits, tmp_path / "a", "ic", train=None, test="25%", valid="take=0")
    assert drawn.num_utterances == {"train": 32, "valid": 6, "test": 10}  # 48, less 6, a quarter
    again = lay(digits, tmp_path / "b", "ic", train=None, test="25%", valid="take=0")
    texts = [(tmp_path / name / "data/test_data.csv").read_text() for name in "ab"]
    assert texts[0] == texts[1]
    assert again.num_utterances == drawn.num_utterances
    with pytest.raises(BudgetError, match="0%: expected a share"):
        lay(digits, tmp_path / "c", "ic", train=None, test="0%")


def test_shots_are_per_label_and_speaker_and_seeded(digits: Path) -> None:
    recordings = read_recordings(digits, PATTERN)
    kept = keep_shots(recordings, label="label", shots=2, seed=1)
    assert len(kept) == 3 * 2 * 2
    assert kept == keep_shots(recordings, label="label", shots=2, seed=1)
    assert kept != keep_shots(recordings, label="label", shots=2, seed=2)


def test_held_out_recordings_part_the_whole(digits: Path) -> None:
    recordings = read_recordings(digits, PATTERN)
    kept, held = hold_out(recordings, 0.1, seed=0)
    assert len(held) == 5
    assert sorted(map(str, [r.path for r in kept + held])) == [str(r.path) for r in recordings]


def test_intents_are_words_and_paths_absolute(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "ic", "ic")
    assert layout.num_utterances == {"train": 32, "valid": 4, "test": 12}
    with (tmp_path / "ic" / "data" / "test_data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["action"] for row in rows} == {"is_0", "is_1", "is_2"}  # numbers confuse s3prl
    assert {row["object"] for row in rows} == {"none"}
    assert all(Path(row["path"]).is_file() for row in rows)


def test_emotion_leaves_validation_to_s3prl(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "er", "er")
    assert layout.num_utterances == {"train": 36, "valid": 0, "test": 12}
    stored = json.loads((tmp_path / "er/meta_data/Session1/train_meta_data.json").read_text())
    assert stored["labels"] == {"0": 0, "1": 1, "2": 2}
    assert len(stored["meta_data"]) == 36
    with pytest.raises(BudgetError, match="--valid"):
        lay(digits, tmp_path / "er2", "er", valid="take=7")


def test_speakers_are_numbered_as_in_voxceleb(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "sid", "sid")
    assert layout.classes == {"id10001": "ann", "id10002": "bob"}
    lines = (tmp_path / "sid" / "splits.txt").read_text().splitlines()
    assert sorted(line[0] for line in lines) == ["1"] * 32 + ["2"] * 4 + ["3"] * 12
    for line in lines:
        link = tmp_path / "sid" / "audio" / "wav" / line.split()[1]
        assert link.is_symlink()
        assert ("ann" in link.resolve().name) == ("id10001" in line)


@pytest.mark.s3prl
def test_s3prl_splits_keywords_as_asked(digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    from fairseq_budget.upstream.compat import prepare_s3prl

    prepare_s3prl()
    from s3prl.downstream.speech_commands.expert import split_dataset

    layout = lay(digits, tmp_path / "ks", "ks", valid="take=7", train="take=2-6")
    train, valid = split_dataset(str(tmp_path / "ks" / "train"))
    assert layout.classes == {"yes": "0", "no": "1", "up": "2"}
    for split, wanted in ((train, range(2, 7)), (valid, range(7, 8))):
        names = [(word, path.resolve().stem.split("_")) for word, path in split]
        assert {int(take) for _, (_, _, take) in names} == set(wanted)
        assert all(layout.classes[word] == label for word, (label, _, _) in names)


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["cat", "go"], {"go": "go", "yes": "cat"}),
        (
            [*"abcdefghij", "go"],
            {"go": "go", "_unknown_": "a/b/c/d/e/f/g/h/i/j"},
        ),
        (
            [*"abcdefghijkl"],
            {**dict(zip(KEYWORDS, "abcdefghij", strict=True)), "_unknown_": "k/l"},
        ),
    ],
)
def test_keywords_keep_their_names_and_others_find_a_place(
    words: list[str], classes: dict[str, str], tmp_path: Path
) -> None:
    for word in words:
        for take in range(2):
            path = tmp_path / "audio" / f"{word}_ann_{take}.wav"
            write_audio(path, np.zeros(400, dtype=np.float32), 16000)
    layout = lay(tmp_path / "audio", tmp_path / "ks", "ks", train="take=1", test="take=0")
    assert layout.classes == classes
    assert {path.name for path in (tmp_path / "ks" / "test").iterdir()} == set(classes)


def test_words_may_all_be_classes(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "ks35", "ks35")
    assert layout.classes == {"0": "0", "1": "1", "2": "2"}
    assert (tmp_path / "ks35/classes.txt").read_text().split() == [*"012", "_unknown_", "_silence_"]
    assert {path.name for path in (tmp_path / "ks35" / "train").iterdir()} == set("012")


def test_audio_of_another_rate_is_converted_and_other_audio_is_not_copied(
    digits: Path, tmp_path: Path
) -> None:
    audio = tmp_path / "audio"
    for take in range(4):
        rate = 8000 if take == 1 else 16000
        write_audio(audio / f"a_ann_{take}.wav", np.zeros(rate // 10, dtype=np.float32), rate)
    layout = lay(audio, tmp_path / "ic", "ic", train="take=1-3", test="take=0")
    assert layout.num_converted == 1
    [copy] = (tmp_path / "ic" / "converted").iterdir()
    assert (audio_info(copy).sample_rate, audio_info(copy).num_samples) == (16000, 1600)


def test_the_same_request_is_done_once_and_another_one_refused(
    digits: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ic"
    first = lay(digits, folder, "ic")
    written = (folder / "layout.json").stat().st_mtime_ns
    assert lay(digits, folder, "ic") == first == read_layout(folder)
    assert (folder / "layout.json").stat().st_mtime_ns == written
    with pytest.raises(BudgetError, match="--overwrite"):
        lay(digits, folder, "ic", seed=1)
    other = make_layout(
        Request("ic", str(digits), train="take=4-7", test="take=0", seed=1), folder, overwrite=True
    )
    assert other.num_utterances["test"] == 6


def _add_a_recording(audio: Path) -> None:
    shutil.copy(audio / "0_ann_3.wav", audio / "0_ann_9.wav")


def _take_one_away(audio: Path) -> None:
    (audio / "0_ann_3.wav").unlink()


def _make_one_longer(audio: Path) -> None:
    write_audio(audio / "0_ann_3.wav", np.zeros(9000, dtype=np.float32), 16000)


@pytest.mark.parametrize("change", [_add_a_recording, _take_one_away, _make_one_longer])
def test_a_layout_of_recordings_that_have_changed_is_refused_and_made_anew(
    change: Callable[[Path], None], digits: Path, tmp_path: Path
) -> None:
    audio, folder = tmp_path / "audio", tmp_path / "data" / "ic"
    shutil.copytree(digits, audio)
    before = lay(audio, folder, "ic")
    change(audio)
    for use in (lambda: lay(audio, folder, "ic"), lambda: read_layouts(folder.parent, None)):
        with pytest.raises(BudgetError, match=r"are not those that it was made of.*--overwrite"):
            use()
    after = make_layout(before.request, folder, overwrite=True)
    assert after.sources_sha256 != before.sources_sha256
    assert lay(audio, folder, "ic") == after
    assert read_layouts(folder.parent, None) == [after]


def test_a_layout_whose_table_or_lexicon_has_changed_is_refused(
    digits: Path, tmp_path: Path
) -> None:
    table, lexicon = tmp_path / "all.csv", tmp_path / "lexicon.txt"
    rows = [f"{take}_ann_{take}.wav,{part},HI" for take, part in enumerate(("train", "test"))]
    table.write_text("\n".join(["path,split,transcript", *rows, "2_ann_2.wav,valid,HI"]) + "\n")
    lexicon.write_text("HI h a i\n")
    request = Request("pr", str(digits), table=str(table), lexicon=str(lexicon))
    made = make_layout(request, tmp_path / "pr")
    assert make_layout(request, tmp_path / "pr") == made
    lexicon.write_text("HI h i\n")
    with pytest.raises(BudgetError, match="are not those that it was made of"):
        make_layout(request, tmp_path / "pr")
    lexicon.write_text("HI h a i\n")
    table.write_text(table.read_text().replace("train,HI", "train,HI HI"))
    with pytest.raises(BudgetError, match="are not those that it was made of"):
        made.require_sound()


def test_a_layout_that_was_moved_without_its_recordings_is_taken_as_it_is(
    digits: Path, tmp_path: Path
) -> None:
    audio = tmp_path / "audio"
    shutil.copytree(digits, audio)
    made = lay(audio, tmp_path / "ic", "ic")
    shutil.rmtree(audio)
    made.require_sound()


def test_a_layout_without_a_hash_is_taken_as_it_is(digits: Path, tmp_path: Path) -> None:
    """As older versions made them."""
    lay(digits, tmp_path / "ic", "ic")
    path = tmp_path / "ic/layout.json"
    content = json.loads(path.read_text())
    del content["sources_sha256"]
    path.write_text(json.dumps(content))
    assert lay(digits, tmp_path / "ic", "ic").sources_sha256 is None


def test_a_folder_with_other_files_is_refused(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BudgetError, match="other files"):
        lay(digits, tmp_path, "ic")
    assert (tmp_path / "thesis.txt").exists()


def test_empty_and_overlapping_splits_are_errors(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"--test 'take=90' keeps no recording"):
        lay(digits, tmp_path / "a", "ic", test="take=90")
    with pytest.raises(BudgetError, match="is in train and in test"):
        lay(digits, tmp_path / "b", "ic", test="take=2")
    with pytest.raises(BudgetError, match="--test is missing"):
        lay(digits, tmp_path / "c", "ic", test=None)


def test_a_class_that_is_never_trained_on_is_an_error(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"label=2 is in test but not in train"):
        lay(digits, tmp_path / "ic", "ic", train="label=0,1 take=2-7")


def test_a_table_without_valid_rows_has_some_of_its_training_rows_held_out(tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for number in range(12):
        write_audio(tmp_path / f"{number}.wav", np.zeros(400, dtype=np.float32), 16000)
        rows.append(f"{number}.wav,{number % 2},{'test' if number < 2 else 'train'}")
    (tmp_path / "a.csv").write_text("\n".join(rows))
    request = Request("ic", str(tmp_path), table=str(tmp_path / "a.csv"))
    layout = make_layout(request, tmp_path / "ic")
    assert layout.num_utterances == {"train": 9, "valid": 1, "test": 2}


def test_without_a_train_filter_the_rest_is_trained_on(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "ic", "ic", train=None, shots=1)
    assert layout.num_utterances == {"train": 6, "valid": 4, "test": 12}


@pytest.mark.parametrize("task", ["er", "ic", "ks", "ks35", "sid"])
def test_the_overrides_point_into_the_layout(task: str, digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / task, task)
    for field in layout.overrides():
        name, path = field.split("=")
        assert re.fullmatch(r"config\.downstream_expert\.datarc\.\w+", name)
        assert Path(path).exists()


def test_few_keywords_make_small_batches(digits: Path, tmp_path: Path) -> None:
    layout = lay(digits, tmp_path / "ks", "ks", shots=1)
    assert layout.overrides()[-1] == "config.downstream_expert.datarc.batch_size=6"


def test_a_failure_leaves_nothing_for_the_next_try_to_trip_over(
    digits: Path, tmp_path: Path
) -> None:
    audio, out = tmp_path / "audio", tmp_path / "out"
    shutil.copytree(digits, audio)
    good = (audio / "0_ann_3.wav").read_bytes()
    (audio / "0_ann_3.wav").write_bytes(good[: len(good) // 2 + 1])
    (audio / "0_ann_2.wav").write_bytes(b"no audio")
    with pytest.raises(BudgetError, match=r"0_ann_2.wav") as raised:
        lay(audio, out, "ic")
    assert "manifest" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["audio"]
    for take in (2, 3):
        (audio / f"0_ann_{take}.wav").write_bytes(good)
    lay(audio, out, "ic")


def test_a_failure_leaves_the_older_layout(digits: Path, tmp_path: Path, monkeypatch) -> None:
    before = lay(digits, tmp_path / "out", "ic")

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(layout_module, "_convert", fails)
    request = Request("er", str(digits), train="take=2-7", test="take=0-1")
    with pytest.raises(KeyboardInterrupt):
        make_layout(request, tmp_path / "out", overwrite=True)
    assert read_layout(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "content", [b"", b"id\ttext\na\tb\n", b"path\tid\na.wav\n", b"path\na\xff.wav\n"]
)
def test_a_table_of_something_else_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "utterances.tsv").write_bytes(content)
    with pytest.raises(BudgetError, match=r"cannot read .*utterances\.tsv .*a column `path`"):
        read_recordings(tmp_path, PATTERN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_utterances": {"train": 4}},
        {"num_utterances": {"train": "4", "valid": 1, "test": 1}},
        {"num_utterances": {"train": -4, "valid": 1, "test": 1}},
        {"classes": {"0": 0}},
        {"classes": []},
        {"request": {"task": "sing", "audio": "a"}},
        {"num_converted": None},
    ],
)
def test_a_layout_of_other_types_is_an_error(digits: Path, tmp_path: Path, wrong: dict) -> None:
    lay(digits, tmp_path / "ic", "ic")
    path = tmp_path / "ic/layout.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(BudgetError, match=rf"no finished layout \(.*{next(iter(wrong))}"):
        read_layout(tmp_path / "ic")
