"""Speech to recognise, wherever it lies: a manifest, a folder, an archive or a file.

Files and folders may have any rate and number of channels; a manifest's audio is what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairseq_budget.audio.check import find_damage
from fairseq_budget.audio.io import AudioError, audio_info, decode
from fairseq_budget.audio.resample import to_model_rate
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import RECEPTIVE_FIELD, SAMPLE_RATE
from fairseq_budget.prepare.find import Source, find_audio


@dataclass(frozen=True)
class Clips:
    """Utterances with names and lengths (`manifest`); ``read(i)`` gives (S,) float32 at 16 kHz.

    `left_out`: why which files cannot be heard, by name.
    """

    manifest: Manifest
    read: Callable[[int], NDArray[np.float32]]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [utterance.name for utterance in self.manifest.utterances]


def open_clips(place: str | Path) -> Clips:
    """The utterances of a manifest (``.tsv``), or the audio files that `place` is or holds.

    Raises BudgetError when there is nothing to hear.
    """
    place = Path(place)
    if place.suffix == ".tsv":
        return Clips(Manifest.read(place), read_text(place).read)
    if not place.exists():
        raise BudgetError(f"{place} does not exist; name a folder, audio files or a manifest")
    if place.is_file() and place.suffix.lower() not in (".zip", ".tar"):
        return _open_files(place.parent, [Source(place.name, str(place))])
    return _open_files(*find_audio(place))


def _open_files(root: Path, sources: list[Source]) -> Clips:
    left_out, kept, utterances = {}, [], []
    for source in sources:
        try:
            utterances.append(_examine(root, source))
            kept.append(root / source.path)
        except AudioError as error:
            left_out[source.name] = error.reason
    if not kept:
        name, reason = next(iter(left_out.items()))
        raise BudgetError(f"{name}: {reason}; expected audio that can be decoded")
    manifest = Manifest(root, utterances)
    return Clips(manifest, lambda index: to_model_rate(*decode(kept[index])), left_out)


def _examine(root: Path, source: Source) -> Utterance:
    """The file as an utterance, its length at 16 kHz rounded; BudgetError if it is damaged."""
    info = audio_info(root / source.path)
    try:
        find_damage(root / source.path, info, full=True)
    except AudioError as error:
        if error.kind != "silent":  # silence has a transcript: none
            raise
    return Utterance((Piece(source.name),), round(info.duration_s * SAMPLE_RATE))


def transcribe(
    clips: Clips, recognize: Callable[[Tensor, Tensor], list[str]], batch: int
) -> Iterator[dict[int, str]]:
    """The texts of a batch of clips after another, by index: the longest come first.

    recognize: padded waveforms (B, S) and their lengths (B,) -> texts. What is shorter than a frame
    says nothing.
    """
    sizes = [utterance.num_samples for utterance in clips.manifest.utterances]
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    for start in range(0, len(order), batch):
        waves = {index: torch.from_numpy(clips.read(index)) for index in order[start:][:batch]}
        heard = {i: wave for i, wave in waves.items() if len(wave) >= RECEPTIVE_FIELD}
        found = dict.fromkeys(waves, "")
        if heard:
            source = torch.nn.utils.rnn.pad_sequence(list(heard.values()), batch_first=True)
            lengths = torch.tensor([len(wave) for wave in heard.values()])
            found.update(zip(heard, recognize(source, lengths), strict=True))
        yield found
