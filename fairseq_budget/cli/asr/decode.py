"""``budget-asr decode``: what is said in audio, and word errors where transcripts are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq_budget.cli import Commands
from fairseq_budget.cli.arguments import add_device, count, finite
from fairseq_budget.cli.later import imported_later
from fairseq_budget.console.progress import Progress
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import atomic_write, reading

with imported_later():
    from fairseq_budget.asr.beam import LexiconBeamSearch
    from fairseq_budget.asr.clips import Clips, open_clips, transcribe
    from fairseq_budget.asr.recognizer import Recognizer
    from fairseq_budget.corpus.symbols import read_vocabulary
    from fairseq_budget.pretrained import Pretrained, read_pretrained
    from fairseq_budget.pretrained.vocabulary import Vocabulary
    from fairseq_budget.text.transcripts import read_librispeech, read_transcripts
    from fairseq_budget.text.wer import word_errors


@dataclass(frozen=True)
class Spoken:
    """An utterance: its name, what was recognised, and what was said, where that is known."""

    name: str
    text: str
    reference: str | None


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "decode",
        help="recognise speech, and count word errors where there are transcripts",
        description="Print name<TAB>text of every utterance, and the word error rate of those with "
        "a transcript: {split}.ltr, .bpe or .wrd beside a manifest, *.trans.txt in a folder, or "
        "--transcripts.",
    )
    parser.add_argument("checkpoint", help="fine-tuned checkpoint or exported folder")
    parser.add_argument(
        "audio", type=Path, nargs="*",
        help="folders, archives, audio files of any rate, or manifests (.tsv)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path,
        help="folder of manifests: its --split is heard if no audio is named; its dictionary "
        "serves checkpoints that are too old to hold theirs",
    )  # fmt: skip
    parser.add_argument("--split", default="valid", help="(default: %(default)s)")
    parser.add_argument(
        "--labels", default="ltr", help="name of transcripts and dictionary (default: %(default)s)"
    )
    parser.add_argument(
        "--transcripts",
        help="table (path, transcript), LibriSpeech's folder, or a file of lines: {split}.wrd",
    )
    parser.add_argument("--beam", type=count, help="hypotheses kept (greedy without)")
    parser.add_argument("--lexicon", type=Path, help="CTC: file with a word per line")
    parser.add_argument(
        "--lm", type=Path,
        help="CTC: n-gram model of words (ARPA or KenLM's binary), with --lexicon; KenLM's lmplz "
        "estimates one from text, openslr.org/11 has LibriSpeech's: 4-gram.arpa.gz, and "
        "librispeech-vocab.txt for the lexicon",
    )  # fmt: skip
    parser.add_argument("--lm-weight", type=finite, default=2.0, help="(default: %(default)s)")
    parser.add_argument("--word-score", type=finite, default=0.0, help="(default: %(default)s)")
    parser.add_argument("--batch", type=count, default=8, help="utterances at once")
    add_device(parser)
    parser.add_argument(
        "--out", type=Path,
        help="write the lines here, not to the terminal; reference<TAB>text where all have one",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.set_defaults(run=_decode)


def _decode(args: argparse.Namespace) -> None:
    if not args.audio and args.data is None:
        raise BudgetError("nothing to hear: name a folder, audio files or a manifest, or --data")
    checkpoint = read_pretrained(args.checkpoint)
    recognizer = Recognizer(checkpoint, _older_vocabulary(args, checkpoint), device=args.device)
    lexicon = _lexicon(args, recognizer.vocabulary)
    spoken: list[Spoken] = []
    for place in args.audio or [args.data / f"{args.split}.tsv"]:
        clips = open_clips(place)
        for name, reason in clips.left_out.items():
            print(f"left out {name}: {reason}", file=sys.stderr)
        references = _references(args, place, clips)
        texts = _recognize(args, recognizer, lexicon, clips)
        spoken += map(Spoken, clips.names, texts, references)
    _report(args, spoken)


def _older_vocabulary(args: argparse.Namespace, checkpoint: Pretrained) -> Vocabulary | None:
    if checkpoint.vocabulary is not None or args.data is None:
        return None
    print(
        f"budget-asr: warning: {args.checkpoint} does not hold its dictionary, as newer "
        f"checkpoints do; {args.data / f'dict.{args.labels}.txt'} is taken for it, and gives wrong "
        "letters if the order of its symbols is another",
        file=sys.stderr,
    )
    return read_vocabulary(args.data, args.labels)


def _recognize(
    args: argparse.Namespace,
    recognizer: Recognizer,
    lexicon: LexiconBeamSearch | None,
    clips: Clips,
) -> list[str]:
    texts: dict[int, str] = {}
    with Progress(total=len(clips.names), unit="utterance") as progress:
        for found in transcribe(
            clips,
            lambda *batch: recognizer(*batch, beam=args.beam or 1, lexicon=lexicon),
            args.batch,
        ):
            texts.update(found)
            progress.update(len(found))
    return [texts[index] for index in range(len(texts))]


def _references(args: argparse.Namespace, place: Path, clips: Clips) -> Sequence[str | None]:
    """The words of each clip, None where no transcripts are found beside the audio."""
    if args.transcripts:
        return read_transcripts(args.transcripts.replace("{split}", place.stem), clips.manifest)
    if place.is_dir() and next(place.rglob("*.trans.txt"), None):
        found = read_librispeech(place)
        return [found.get(Path(name).stem) for name in clips.names]
    beside = [place.with_suffix(f".{name}") for name in (args.labels, "ltr", "bpe", "wrd")]
    for path in beside if place.suffix == ".tsv" else ():
        if path.is_file():
            return read_transcripts(path, clips.manifest)
    return [None] * len(clips.names)


def _report(args: argparse.Namespace, spoken: list[Spoken]) -> None:
    """The lines of all utterances, then the errors of those that have a reference."""
    known = [(s.reference, s.text) for s in spoken if s.reference is not None]
    if args.out:
        with atomic_write(args.out) as file:
            whole = len(known) == len(spoken)
            file.writelines(f"{s.reference if whole else s.name}\t{s.text}\n" for s in spoken)
    elif not args.json:
        print("".join(f"{s.name}\t{s.text}\n" for s in spoken), end="", flush=True)
    errors = word_errors([said for said, _ in known], [text for _, text in known])
    if args.json:
        counts = {**asdict(errors), "rate": errors.rate} if errors.num_words else None
        print(json.dumps({"utterances": [asdict(s) for s in spoken], "word_errors": counts}))
    elif errors.num_words:
        print(
            f"{' '.join(path.stem for path in args.audio) or args.split}: word error rate "
            f"{errors.rate:.2%} ({errors.substitutions} substitutions, {errors.deletions} "
            f"deletions, {errors.insertions} insertions in {errors.num_words:,} words)"
        )


def _lexicon(args: argparse.Namespace, vocabulary: Vocabulary) -> LexiconBeamSearch | None:
    if args.lexicon is None:
        if args.lm is not None:
            raise BudgetError(f"--lm {args.lm} needs the words that it knows: add --lexicon FILE")
        return None
    if not args.lexicon.is_file():
        raise BudgetError(
            f"lexicon {args.lexicon} does not exist; name a file with a word per line"
        )
    with reading(f"the lexicon {args.lexicon}", "name a file with a word per line"):
        words = args.lexicon.read_text(encoding="utf-8").split()
    return LexiconBeamSearch(
        vocabulary.symbols,
        words,
        args.lm,
        beam=args.beam or 50,
        lm_weight=args.lm_weight,
        word_score=args.word_score,
        blank=vocabulary.blank,
    )
