"""Speech from text with the times of its phones: espeak-ng through ctypes, only for demo data.

``espeakng_loader`` (extra ``demo``) brings the library and its voices. The enumerations are those
of espeak-ng 1.52's ``speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.errors import BudgetError

SILENCE = "sil"
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _IPA_NAMES, _DO_NOT_EXIT = 1 << 0, 1 << 1, 1 << 15
_EVENT_TERMINATED, _EVENT_END, _EVENT_PHONEME = 0, 5, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8 = 1
_UNCLIPPED_VOLUME = 50  # percent; the loudest voices clip at 100
_STRESS = str.maketrans("", "", "ˈˌ")


@dataclass(frozen=True)
class Voice:
    """A voice and how it speaks: words per minute, pitch and pitch range in espeak's 0 to 100."""

    name: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class PhoneSpan:
    """A phone in IPA without stress marks, or ``sil``, and its times from the first sample.

    ``word`` is where its word begins in the text; words that are run together ("of the") are one.
    """

    start_s: float
    end_s: float
    phone: str
    word: int


@dataclass(frozen=True)
class Speech:
    """``samples`` (S,) int16 at ``sample_rate`` and the phones that tile them, pauses included."""

    samples: NDArray[np.int16]
    sample_rate: int
    phones: list[PhoneSpan]


@dataclass(frozen=True)
class _Mark:
    """Where a phone begins, the first sample of it, and its word."""

    sample: int
    phone: str = SILENCE
    word: int = 0


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # in ms
        ("sample", ctypes.c_int),  # the same in samples
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """A synthesiser in its initial state, for use in a ``with`` block.

    espeak-ng is deterministic but remembers: the same text sounds a little different the second
    time, and initialising it again does not make it forget. Each block therefore loads a copy of
    the library of its own, so the n-th utterance of a block depends only on the block's n calls.

    Raises BudgetError when espeak-ng is not installed or does not start.
    """

    def __enter__(self) -> Espeak:
        self._chunks: list[NDArray[np.int16]] = []
        self._marks: list[_Mark] = []
        with ExitStack() as stack:
            self._library, self._data = _load_copy(stack)
            options = _PHONEME_EVENTS | _IPA_NAMES | _DO_NOT_EXIT
            self.sample_rate: int = self._library.espeak_Initialize(
                _OUTPUT_SYNCHRONOUS, 0, self._data.encode(), options
            )
            if self.sample_rate <= 0:
                raise BudgetError(f"espeak-ng cannot use {self._data}; reinstall espeakng-loader")
            stack.callback(self._library.espeak_Terminate)
            self._callback = _Callback(self._collect)  # kept, or ctypes would free it
            self._library.espeak_SetSynthCallback(self._callback)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def speak(self, text: str, voice: Voice) -> Speech:
        """Synthesise one sentence without punctuation. BudgetError for an unknown voice."""
        self._chunks.clear()
        self._marks.clear()
        self._choose(voice)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if all(mark.phone == SILENCE for mark in self._marks):
            raise BudgetError(f"espeak-ng speaks nothing for {text!r}; expected English words")
        samples = np.concatenate(self._chunks)
        return Speech(samples, self.sample_rate, self._spans(len(samples)))

    def _choose(self, voice: Voice) -> None:
        _, _, variant = voice.name.partition("+")
        missing = not Path(self._data, "voices", "!v", variant).exists()  # espeak would ignore it
        if missing or self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise BudgetError(f"espeak-ng has no voice {voice.name!r}; try 'en-us' or 'en-us+f1'")
        for parameter, value in (
            (_RATE, voice.rate),
            (_VOLUME, _UNCLIPPED_VOLUME),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)

    def _collect(self, samples: Any, num_samples: int, events: Any) -> int:
        """Called by the library with each piece of audio; 0 asks it to go on."""
        if num_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        for event in itertools.takewhile(lambda event: event.type != _EVENT_TERMINATED, events):
            if event.type == _EVENT_PHONEME:
                phone = event.name.decode("utf-8", "ignore").translate(_STRESS)
                place = event.text_position - 1  # espeak counts from 1
                self._marks.append(_Mark(event.sample, phone or SILENCE, place))
            elif event.type == _EVENT_END:
                self._marks.append(_Mark(event.sample))
        return 0

    def _spans(self, num_samples: int) -> list[PhoneSpan]:
        """Tile the samples: join neighbouring pauses and leave out phones of no length."""
        end = _Mark(num_samples)
        kept: list[_Mark] = []
        for mark, after in itertools.pairwise([_Mark(0), *self._marks, end]):
            joins_pause = bool(kept) and mark.phone == kept[-1].phone == SILENCE
            if mark.sample < after.sample and not joins_pause:
                kept.append(mark)
        rate = self.sample_rate
        return [
            PhoneSpan(mark.sample / rate, after.sample / rate, mark.phone, mark.word)
            for mark, after in itertools.pairwise([*kept, end])
        ]


def _load_copy(stack: ExitStack) -> tuple[ctypes.CDLL, str]:
    """The library, loaded from a copy that lives as long as ``stack``, and the voices' folder."""
    try:
        loader = importlib.import_module("espeakng_loader")
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        library = ctypes.CDLL(shutil.copy(loader.get_library_path(), folder))
    except ModuleNotFoundError as error:
        raise BudgetError(
            'the demo corpus is spoken by espeak-ng: pip install "fairseq_budget[demo]"'
        ) from error
    except OSError as error:
        raise BudgetError(f"cannot load espeak-ng: {error}; reinstall espeakng-loader") from error
    return library, loader.get_data_path()
