"""The files that s3prl's experts for PR, ASR and SF expect, made of transcribed recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from fairseq_budget.audio.io import audio_info
from fairseq_budget.downstream.recordings import LIBRISPEECH, SNIPS_TABLE, Recording
from fairseq_budget.downstream.task_files import (
    SLOTS,
    Options,
    Splits,
    link,
    write_csv,
    write_lines,
)
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.ctc_corpora import phonemize, read_lexicon

CORPUS, SNIPS = "LibriSpeech", "SNIPS"
NO_SLOT = "O"
LENGTHS = ("file_path", "length")  # columns, in samples


def write_letters(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """LibriSpeech's folders, the lengths by which s3prl makes batches, and a list of letters."""
    texts = write_librispeech(folder, splits, lambda recording: _words(recording, options))
    counts = Counter(letter for text in texts for letter in text.replace(" ", "|") + "|")
    write_lines(folder / "letters.txt", (f"{key} {n}" for key, n in sorted(counts.items())))
    return {letter: letter for letter in sorted(counts)}


def write_phones(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """LibriSpeech's folders, and a lexicon of the phones of each word.

    Where recordings have a field ``phones``, these stand for words of one phone each, so that an
    utterance's phones are those that were said. Else ``options.lexicon`` is asked.
    """
    if all("phones" in recording.fields for split in splits.values() for recording in split):
        texts = write_librispeech(folder, splits, lambda recording: recording.field("phones"))
        lexicon = {phone: [phone] for text in texts for phone in text.split()}
    elif options.lexicon is None:
        raise BudgetError(
            "phones: the recordings have no field 'phones'; give a --table with one, or a "
            "--lexicon with lines of a word and its phones"
        )
    else:
        known = read_lexicon([Path(options.lexicon)])
        known |= {word.upper(): phones for word, phones in known.items()}
        texts = write_librispeech(folder, splits, lambda recording: _words(recording, options))
        for text in texts:
            phonemize(text, known)  # raises for a word that it does not have
        lexicon = {word: known[word] for text in texts for word in text.split()}
    phones = sorted({phone for row in lexicon.values() for phone in row})
    write_lines(folder / "lexicon.txt", (f"{w} {' '.join(p)}" for w, p in sorted(lexicon.items())))
    write_lines(folder / "phones.txt", phones)
    return {phone: phone for phone in phones}


def write_pieces(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """LibriSpeech's folders, and ``options.pieces`` word pieces of the training transcripts."""
    from fairseq_budget.text.word_pieces import train_word_pieces, vocabulary  # sentencepiece

    write_librispeech(folder, splits, lambda recording: _words(recording, options))
    spoken = [_words(recording, options) for recording in splits["train"]]
    train_word_pieces(spoken, options.pieces, folder / "pieces.model")
    return {piece: piece for piece in vocabulary(folder / "pieces.model")}


def write_slots(folder: Path, splits: Splits, options: Options) -> dict[str, str]:
    """Audio SNIPS's folders, words with their slots, and lists of letters and of slots."""
    names = sorted({recording.speaker for row in splits.values() for recording in row})
    lines, letters, slots = [], {" "}, set()
    for split, recordings in splits.items():
        for number, recording in enumerate(recordings):
            name = f"{names.index(recording.speaker) + 1}-snips-{split}-{number:05d}"
            link(folder / SNIPS / split / f"{name}{recording.path.suffix}", recording.path)
            words = _words(recording, options)
            labels = slots_of_words(recording, words.split())
            lines.append(f"{name} BOS {words} EOS\tO {' '.join(labels)} O")
            letters.update(words)
            slots.update(labels)
    slots.discard(NO_SLOT)
    if not slots:
        raise BudgetError("no word has a slot; give a --table with a column of slots")
    write_lines(folder / SNIPS / SNIPS_TABLE, lines)
    write_lines(folder / "letters.txt", sorted(letters))
    # s3prl leaves out the first line, and would take an empty last one for a slot
    (folder / SNIPS / "slots.txt").write_text("\n".join([NO_SLOT, *sorted(slots)]))
    return {slot: slot for slot in sorted(slots)}


def slots_of_words(recording: Recording, words: Sequence[str]) -> list[str]:
    """The slot of each word, O for none: the field ``slots``, or where a command's parts are said.

    >>> command = Recording(Path("1.wav"), {"action": "stop", "object": "the fan"})
    >>> slots_of_words(command, ["NOW", "STOP", "THE", "FAN"])
    ['O', 'action', 'object', 'object']
    """
    if "slots" not in recording.fields:
        parts = ((slot, recording.fields.get(slot, "").upper()) for slot in SLOTS)
        slots = {word: slot for slot, value in parts for word in value.split()}
        return [slots.get(word, NO_SLOT) for word in words]
    labels = recording.fields["slots"].split()
    if len(labels) != len(words):
        raise BudgetError(
            f"{recording.path}: {len(labels)} slots for {len(words)} words: expected one for each, "
            f"{NO_SLOT} where there is none; mend the table"
        )
    return labels


def write_librispeech(folder: Path, splits: Splits, text: Callable[[Recording], str]) -> list[str]:
    """Audio and transcripts as LibriSpeech has them, below ``LibriSpeech``; returns all texts.

    Speakers are numbered, and have a chapter in each split. Beside it, ``lengths`` has the number
    of samples of each file.
    """
    names = {recording.speaker for row in splits.values() for recording in row}
    numbers = {name: number for number, name in enumerate(sorted(names), start=1)}
    texts = []
    for chapter_number, (split, recordings) in enumerate(splits.items()):
        lengths: list[tuple[str, int]] = []
        chapters: dict[Path, list[str]] = {}
        for number, recording in enumerate(recordings):
            speaker = numbers[recording.speaker]
            chapter = Path(LIBRISPEECH[split], str(speaker), str(chapter_number))
            name = f"{speaker}-{chapter_number}-{number:05d}"
            path = chapter / f"{name}{recording.path.suffix}"
            link(folder / CORPUS / path, recording.path)
            chapters.setdefault(chapter, []).append(f"{name} {text(recording)}")
            lengths.append((path.as_posix(), audio_info(recording.lies_at).num_samples))
        for chapter, lines in chapters.items():
            name = f"{chapter.parent.name}-{chapter.name}.trans.txt"
            write_lines(folder / CORPUS / chapter / name, lines)
            texts += [line.partition(" ")[2] for line in lines]
        write_csv(folder / "lengths" / f"{LIBRISPEECH[split]}.csv", LENGTHS, lengths)
    return texts


def _words(recording: Recording, options: Options) -> str:
    """In capitals, as LibriSpeech's are."""
    words = " ".join(recording.field(options.label).upper().split())
    if not words:
        raise BudgetError(f"{recording.path}: its transcript is empty; leave it out of the table")
    return words
