"""The corpora of SUPERB: where each is from, how large it is, and what of it must be there.

Numbers of files are at least those; hours and sizes are rough, of what a task uses as 16 kHz audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairseq_budget.errors import BudgetError


@dataclass(frozen=True)
class Corpus:
    """``parts``: patterns of files below its root, and how many there are of each at least."""

    name: str
    source: str
    hours: int
    gigabytes: float
    parts: dict[str, int]

    def missing(self, root: Path) -> list[str]:
        """What is not there, a line each; BudgetError if `root` is no folder."""
        if not root.is_dir():
            raise BudgetError(f"{root}: no such folder; {self.name} is from {self.source}")
        return [
            f"{pattern}: {found:,} of {wanted:,} files"
            for pattern, wanted in self.parts.items()
            if (found := sum(1 for _ in root.glob(pattern))) < wanted
        ]


_VOXCELEB = {"dev/wav/id*/*/*.wav": 148642, "test/wav/id*/*/*.wav": 4874}
_VGG = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
_KALDI = ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur", "rttm")
_LIBRISPEECH = Corpus(
    "LibriSpeech (train-clean-100, dev-clean, test-clean)",
    "https://www.openslr.org/12; a lexicon of phones for pr: https://www.openslr.org/11",
    111,
    7,
    {
        "train-clean-100/*/*/*.trans.txt": 585,
        "train-clean-100/*/*/*.flac": 28539,
        "dev-clean/*/*/*.trans.txt": 97,
        "dev-clean/*/*/*.flac": 2703,
        "test-clean/*/*/*.trans.txt": 87,
        "test-clean/*/*/*.flac": 2620,
    },
)
_SPEECH_COMMANDS = Corpus(
    "Speech Commands v0.01 and its test set",
    "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz and "
    "speech_commands_test_set_v0.01.tar.gz",
    18,
    2,
    {
        "speech_commands_v0.01/*/*_nohash_*.wav": 64000,
        "speech_commands_v0.01/_background_noise_/*.wav": 6,
        "speech_commands_test_set_v0.01/*/*.wav": 3000,
        "speech_commands_test_set_v0.01/_silence_": 1,
        "speech_commands_test_set_v0.01/_unknown_": 1,
    },
)
OFFICIAL = {
    "pr": _LIBRISPEECH,
    "asr": _LIBRISPEECH,
    "asr5k": _LIBRISPEECH,
    "ks": _SPEECH_COMMANDS,
    "ks35": _SPEECH_COMMANDS,
    "sid": Corpus("VoxCeleb1", _VGG, 352, 40, {**_VOXCELEB, "iden_split.txt": 1}),
    "asv": Corpus("VoxCeleb1", _VGG, 352, 40, {**_VOXCELEB, "veri_test2.txt": 1}),
    "sd": Corpus(
        "LibriMix for diarization (two speakers, 16 kHz, max)",
        "LibriSpeech and https://github.com/ftshijt/LibriMix (generate_librimix.sh, then "
        "scripts/prepare_diarization.py)",
        90,
        10,
        {f"{split}/{name}": 1 for split in ("train", "dev", "test") for name in _KALDI},
    ),
    "ic": Corpus(
        "Fluent Speech Commands",
        "fluent.ai (https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-"
        "understanding-research)",
        19,
        2,
        {
            **{f"data/{split}_data.csv": 1 for split in ("train", "valid", "test")},
            "wavs/speakers/*/*.wav": 30043,
        },
    ),
    "sf": Corpus(
        "audio SNIPS",
        "https://github.com/aws-samples/aws-lex-noisy-spoken-language-understanding, prepared by "
        "s3prl's preprocess/snips_prepare_data.sh",
        90,
        10,
        {
            "all.iob.snips.txt": 1,
            "slots.txt": 1,
            "train/*.wav": 13084,  # of one speaker
            "valid/*.wav": 700,
            "test/*.wav": 700,
        },
    ),
    "er": Corpus(
        "IEMOCAP",
        "https://sail.usc.edu/iemocap (a form), prepared by s3prl's "
        "downstream/emotion/IEMOCAP_preprocess.py",
        12,
        1.5,
        {
            "Session[1-5]/sentences/wav/*/*.wav": 10039,
            "meta_data/Session[1-5]/train_meta_data.json": 5,
            "meta_data/Session[1-5]/test_meta_data.json": 5,
        },
    ),
}
