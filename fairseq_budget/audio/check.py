"""Faults of a recording: judged once, by name and kind.

Headers are held against the bytes that are there, samples against what they should be. Manifests,
copies and decoding ask here; training meets what is left in `read_audio`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairseq_budget.audio import mp3
from fairseq_budget.audio.archives import open_bytes
from fairseq_budget.audio.containers import find_ogg_fault, find_promise
from fairseq_budget.audio.io import (
    MAX_PEAK,
    UNKNOWN,
    AudioError,
    AudioInfo,
    Block,
    audio_info,
    blocks,
    find_mismatch,
    find_wrong_samples,
    open_audio,
)

_CANCELLED = 1e-4  # share of the power that is left of channels in antiphase, rounded to 16 bits


def inspect(path: str | Path, full: bool) -> str | None:
    """Why a file cannot be trained on as it is, as ``kind: detail``, or None if it can.

    The kinds are those of `AudioError`. Without `full` nothing but headers (and the last sample of
    a flac) is read, so that samples which are wrong, or lost in the middle, stay unseen.
    """
    try:
        info = audio_info(path)
        find_damage(path, info, full=full)
    except AudioError as error:
        return error.reason
    return find_mismatch(info)


def find_damage(path: str | Path, info: AudioInfo, *, full: bool) -> None:
    """Raise AudioError if something of a file is lost or invalid, whatever its rate."""
    if reason := _find_lost_bytes(path, info):
        raise AudioError(path, reason)
    if info.num_samples == 0:
        raise AudioError(path, "empty: no samples")
    if full:
        deque(checked_blocks(path, info), maxlen=0)
    elif info.format == "FLAC" and not _has_last_sample(path, info.num_samples):
        raise AudioError(path, f"truncated: the last of {info.num_samples} samples is missing")


def is_out_of_range(path: str | Path) -> bool:
    """Whether any sample of a file is beyond `MAX_PEAK`; AudioError if that cannot be told."""
    with open_audio(path) as file:
        return any(abs(block).max(initial=0) > MAX_PEAK for block in blocks(file))


def checked_blocks(path: str | Path, info: AudioInfo, scale: float = 1.0) -> Iterator[Block]:
    """All samples of a file in blocks (S, C), multiplied by `scale`.

    Raises AudioError, at the first block or after the last one, for what is wrong with them.
    """
    num_samples, power, mean_power = 0, 0.0, 0.0
    try:
        with open_audio(path) as file:
            for block in blocks(file):
                if scale != 1:
                    block = block * np.float32(scale)
                if reason := find_wrong_samples(block):
                    raise AudioError(path, reason)
                num_samples += len(block)
                power += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
                mean_power += float(np.square(block.mean(axis=1), dtype=np.float64).sum())
                yield block
    except AudioError as error:
        if error.kind == "unreadable":  # it was opened before
            cause = error.reason.removeprefix("unreadable: ")
            reason = f"truncated: {cause} after {num_samples} samples or more"
            raise AudioError(path, reason) from error
        raise
    if num_samples < info.num_samples:
        raise AudioError(path, f"truncated: {num_samples} of {info.num_samples} samples decode")
    if not power:
        raise AudioError(path, "silent: all samples are 0")
    if mean_power < _CANCELLED * power:
        raise AudioError(path, f"channels cancel: the mean of {info.num_channels} is next to none")


def _find_lost_bytes(path: str | Path, info: AudioInfo) -> str | None:
    """Faults that the bytes of a file show without being decoded."""
    with open_bytes(path) as file:
        if info.format == "OGG":
            return find_ogg_fault(file)
        if info.format == "MP3":
            stream = mp3.find_stream(file)
            if stream is not None and stream.num_missing:
                return f"truncated: {stream.num_missing} of {stream.promised} frames are missing"
            return None
        promise = find_promise(file)
    if promise is None:
        return None
    if promise.is_forgotten and info.num_samples == 0:
        return (
            f"length unknown: the header says 0 bytes of samples, {promise.end - promise.start} "
            "follow; `sox --ignore-length in.wav out.wav` mends it"
        )
    missing = promise.num_missing
    return f"truncated: the last {missing} bytes are missing" if missing else None


def _has_last_sample(path: str | Path, num_samples: int) -> bool:
    """Whether the last sample decodes; a flac, whose header promises a length, seeks it quickly."""
    try:
        with open_audio(path) as file:
            if file.frames >= UNKNOWN:
                return True  # for all were counted
            file.seek(num_samples - 1)
            return len(file.read(1)) == 1
    except AudioError:
        return False
