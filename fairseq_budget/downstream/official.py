"""The corpora of SUPERB: where each is from, how large it is, and what of it must be there.

Numbers of files are published ones, of which at least so many must be there. Those of LibriSpeech,
Speech Commands, VoxCeleb1's identification, Fluent Speech Commands and IEMOCAP's four emotions are
from s3prl's own card of the data (https://huggingface.co/datasets/s3prl/superb), those of
VoxCeleb1's dev and test from the page that it comes from, those of audio SNIPS's sentences from
Goo et al., 2018, those of QUESST 2014, in all of its languages, from Anguera et al., 2014. Hours
are LibriSpeech's (Panayotov et al., 2015), VoxCeleb1's (Nagrani et al., 2017), Fluent Speech
Commands' (Lugosch et al., 2019) and IEMOCAP's (Busso et al., 2008). Where we know of no published
number, one file must be there and hours are None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.audio.io import audio_info
from fairseq_budget.downstream import corpus_tables
from fairseq_budget.downstream.corpus_tables import COMMANDS, COMMANDS_TEST, NUM_FOLDS, Reader
from fairseq_budget.downstream.recordings import LIBRISPEECH, SNIPS_TABLE
from fairseq_budget.downstream.term_files import DOCUMENTS, QUERIES
from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading
from fairseq_budget.frames import SAMPLE_RATE
from fairseq_budget.upstream.term_detection import truth_file

SHORT_BYTES = 10_000  # a third of a second; only files below it are opened, as there are so many


@dataclass(frozen=True)
class Corpus:
    """``parts``: patterns of files below its root, and how many there are of each at least.

    ``read`` gives the audio that its tables name. ``hours`` of what a task uses, None if unknown.
    """

    name: str
    source: str
    hours: int | None
    parts: dict[str, int]
    read: Reader

    @property
    def size(self) -> str:
        """How much audio that is, in words; the room is that of 16 kHz and 16 bits."""
        if self.hours is None:
            return ""
        gigabytes = self.hours * 3600 * SAMPLE_RATE * 2 / 1e9
        return f"about {self.hours} h, {gigabytes:.0f} GB as wav, "

    def problems(self, root: Path) -> list[str]:
        """What is not there or cannot be used, a line each; BudgetError if `root` is no folder.

        Tables are read where no file is missing, and audio looked at where they can be.
        """
        if not root.is_dir():
            raise BudgetError(f"{root}: no such folder; {self.name} is from {self.source}")
        missing = [
            f"missing: {pattern}: {found:,} of {wanted:,} files"
            for pattern, wanted in self.parts.items()
            if (found := sum(1 for _ in root.glob(pattern))) < wanted
        ]
        try:
            return missing or [
                problem
                for table, paths in self.read(root).items()
                for problem in _problems_of_audio(table, paths)
            ]
        except BudgetError as error:
            return [f"broken: {error}"]

    def require_sound(self, root: Path, task: str) -> None:
        """Raise BudgetError with all `problems`."""
        if problems := self.problems(root):
            raise BudgetError(
                f"{root}: expected all of {self.name}, but {'; '.join(problems)}; "
                f"budget-downstream check --task {task} --data {root} says where it is from"
            )


def _problems_of_audio(table: str, paths: Sequence[Path]) -> Iterator[str]:
    if not paths:
        yield f"empty: {table} names no recording"
    with reading(table, "unpack or prepare the corpus again"):  # a name may be none to the system
        sizes = {path: path.stat().st_size if path.is_file() else None for path in paths}
    absent = [path for path, size in sizes.items() if size is None]
    silent = [
        path
        for path, size in sizes.items()
        if size is not None and size < SHORT_BYTES and not _num_samples(path)
    ]
    for what, found in (("are not there", absent), ("have no sample", silent)):
        if found:
            yield f"broken: of {table}, {len(found):,} recordings {what}, {found[0]} first"


def _num_samples(path: Path) -> int:
    try:
        return audio_info(path).num_samples
    except BudgetError:
        return 0


_VOXCELEB = {"dev/wav/id*/*/*.wav": 148642, "test/wav/id*/*/*.wav": 4874}
_VGG = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
_KALDI = ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur")  # what s3prl reads
_LIBRISPEECH = Corpus(
    f"LibriSpeech ({', '.join(LIBRISPEECH.values())})",
    "https://www.openslr.org/12; a lexicon of phones for pr: https://www.openslr.org/11",
    111,
    {
        "train-clean-100/*/*/*.trans.txt": 1,
        "train-clean-100/*/*/*.flac": 28539,
        "dev-clean/*/*/*.trans.txt": 1,
        "dev-clean/*/*/*.flac": 2703,
        "test-clean/*/*/*.trans.txt": 1,
        "test-clean/*/*/*.flac": 2620,
    },
    corpus_tables.transcripts,
)
_SPEECH_COMMANDS = Corpus(
    "Speech Commands v0.01 and its test set",
    "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz and "
    "speech_commands_test_set_v0.01.tar.gz",
    18,  # 64,727 files of a second at most (Warden, 2018)
    {
        f"{COMMANDS}/*/*_nohash_*.wav": 51088 + 6798,  # of train and valid; s3prl drops the others
        f"{COMMANDS}/_background_noise_/*.wav": 6,
        f"{COMMANDS_TEST}/*/*.wav": 3081,
    },
    corpus_tables.keywords,
)
OFFICIAL = {
    "pr": _LIBRISPEECH,
    "asr": _LIBRISPEECH,
    "asr5k": _LIBRISPEECH,
    "ks": _SPEECH_COMMANDS,
    "ks35": _SPEECH_COMMANDS,
    "sid": Corpus(
        "VoxCeleb1",
        _VGG,
        352,
        {**_VOXCELEB, corpus_tables.SPEAKERS: 1},
        corpus_tables.speakers,
    ),
    "asv": Corpus(
        "VoxCeleb1", _VGG, 352, {**_VOXCELEB, corpus_tables.TRIALS: 1}, corpus_tables.trials
    ),
    "sd": Corpus(
        "LibriMix for diarization (two speakers, 16 kHz, max)",
        "LibriSpeech and https://github.com/ftshijt/LibriMix (generate_librimix.sh, then "
        "scripts/prepare_diarization.py)",
        None,
        {f"{split}/{name}": 1 for split in ("train", "dev", "test") for name in _KALDI},
        corpus_tables.conversations,
    ),
    "ic": Corpus(
        "Fluent Speech Commands",
        "fluent.ai (https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-"
        "understanding-research)",
        19,
        {
            **{f"data/{split}_data.csv": 1 for split in ("train", "valid", "test")},
            "wavs/speakers/*/*.wav": 23132 + 3118 + 3793,
        },
        corpus_tables.intents,
    ),
    "sf": Corpus(
        "audio SNIPS",
        "https://github.com/aws-samples/aws-lex-noisy-spoken-language-understanding, prepared by "
        "s3prl's preprocess/snips_prepare_data.sh",
        None,
        {
            SNIPS_TABLE: 1,
            "slots.txt": 1,
            "train/*.wav": 13084,  # of one speaker, and so below
            "valid/*.wav": 700,
            "test/*.wav": 700,
        },
        corpus_tables.slots,
    ),
    "er": Corpus(
        "IEMOCAP",
        "https://sail.usc.edu/iemocap (a form), prepared by s3prl's "
        "downstream/emotion/IEMOCAP_preprocess.py",
        12,
        {
            f"Session[1-{NUM_FOLDS}]/sentences/wav/*/*.wav": 5531,  # of four emotions; has others
            f"meta_data/Session[1-{NUM_FOLDS}]/train_meta_data.json": NUM_FOLDS,
            f"meta_data/Session[1-{NUM_FOLDS}]/test_meta_data.json": NUM_FOLDS,
        },
        corpus_tables.emotions,
    ),
    "qbe": Corpus(
        "QUESST 2014",
        "https://speech.fit.vutbr.cz/files/quesst14Database.tgz",
        None,  # 23 of six languages, of which s3prl takes one
        {
            "Audio/*.wav": 12492,
            "dev_queries/*.wav": 560,
            "eval_queries/*.wav": 555,
            **{f"scoring/{name}": 1 for name in (DOCUMENTS, *QUERIES.values())},
            **{truth_file(Path(), part).as_posix(): 1 for part in QUERIES},
        },
        corpus_tables.terms,
    ),
}
