"""Making torchaudio and s3prl 0.4.18 importable beside today's libraries, in memory only.

s3prl 0.4.18 was written for older versions of torchaudio and huggingface_hub and fails at import
time beside newer ones. Each function here fills one gap, only where the installed version has it,
and nothing happens until ``load_torchaudio`` or ``prepare_s3prl`` is called. No file on disk is
touched and ``weights_only`` stays on.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import tempfile
import wave
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from fairseq_budget.console.quiet import set_levels
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream import audio_backend

INSTALL_S3PRL = (
    "pip install 's3prl==0.4.18' 'huggingface_hub<1' 'transformers<5' tensorboardX pandas"
)


@functools.cache
def load_torchaudio() -> ModuleType:
    """Import torchaudio, also when its wheel is linked to CUDA and torch is a CPU build.

    PyPI's Linux wheels of torchaudio fail with an OSError beside a CPU torch; a stand-in for the
    compiled extension then keeps the Python half (resampling, filterbanks, transforms) usable.
    Raises BudgetError when torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError as error:
        raise BudgetError("torchaudio is not installed; pip install torchaudio==2.11.0") from error
    except OSError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _torchaudio_extension()
        return importlib.import_module("torchaudio")


@functools.cache
def prepare_s3prl() -> None:
    """Fill every gap that keeps ``import s3prl`` and its downstream runner from working.

    Call it before the first ``import s3prl``; later calls do nothing. Raises BudgetError when
    s3prl or one of the packages that cannot be stood in for is missing.
    """
    for package in ("s3prl", "tensorboardX", "pandas"):
        if importlib.util.find_spec(package) is None:
            raise BudgetError(
                f"{package} is not installed, and s3prl's runner needs it; {INSTALL_S3PRL}"
            )
    set_levels()
    torchaudio = load_torchaudio()
    _fill_audio_backend(torchaudio)
    _fill_sox_effects(torchaudio)
    _fill_huggingface_hub()
    _fill_catalyst()
    _fill_librosa()
    _fill_sox()
    _fill_h5py()
    # Its checkpoints hold the command line, which torch.load refuses unless it is on the list.
    torch.serialization.add_safe_globals([argparse.Namespace])


def _torchaudio_extension() -> ModuleType:
    def unavailable(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("the installed torchaudio is linked to CUDA, but torch is a CPU build")

    # fail_if_no_align decorates functions at import time, so it must return, not raise.
    return stand_in(
        "torchaudio._extension",
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        _load_lib=lambda _name: False,
        fail_if_no_align=lambda _function: unavailable,
    )


def _fill_audio_backend(torchaudio: ModuleType) -> None:
    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda _backend: None  # type: ignore[attr-defined]
    if not _reads_wav(torchaudio):
        torchaudio.load = audio_backend.load  # type: ignore[attr-defined]
        torchaudio.info = audio_backend.info  # type: ignore[attr-defined]
        torchaudio.save = audio_backend.save  # type: ignore[attr-defined]


def _reads_wav(torchaudio: ModuleType) -> bool:
    """Whether this torchaudio can read, describe and write a file: only trying tells."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "probe.wav"))
        with wave.open(path, "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(320))
        try:
            waveform, sample_rate = torchaudio.load(path)
            torchaudio.save(path, waveform, sample_rate)
            return bool(torchaudio.info(path).sample_rate == sample_rate)
        except (ImportError, AttributeError, RuntimeError, OSError):
            return False


def _fill_sox_effects(torchaudio: ModuleType) -> None:
    try:
        effects = importlib.import_module("torchaudio.sox_effects")
        effects.apply_effects_tensor(torch.zeros(1, 16), 16000, [["channels", "1"]])
    except (ImportError, AttributeError, RuntimeError, OSError):
        torchaudio.sox_effects = stand_in(  # type: ignore[attr-defined]
            "torchaudio.sox_effects",
            apply_effects_file=audio_backend.apply_effects_file,
            apply_effects_tensor=audio_backend.apply_effects_tensor,
        )


def _fill_huggingface_hub() -> None:
    """s3prl imports these two names; they left huggingface_hub 1.0 and only uploads use them."""
    hub = importlib.import_module("huggingface_hub")
    for name in ("HfFolder", "Repository"):
        try:
            getattr(hub, name)
        except AttributeError:
            setattr(hub, name, type(name, (), {}))


def _fill_catalyst() -> None:
    """Keyword spotting imports one sampler from catalyst and uses it in several processes only."""
    if importlib.util.find_spec("catalyst") is None:
        stand_in("catalyst")
        stand_in("catalyst.data")
        stand_in("catalyst.data.sampler", DistributedSamplerWrapper=_no_sampler)


def _no_sampler(*_args: Any, **_kwargs: Any) -> Any:
    raise BudgetError("several processes on speech_commands need catalyst; pip install catalyst")


def _fill_librosa() -> None:
    """Speaker identification and verification import one file finder from librosa."""
    if importlib.util.find_spec("librosa") is None:
        librosa = stand_in("librosa")
        librosa.util = stand_in("librosa.util", find_files=audio_backend.find_files)  # type: ignore[attr-defined]


def _fill_sox() -> None:
    """Speaker verification imports one class from sox and never uses it."""
    if importlib.util.find_spec("sox") is None:
        stand_in("sox", Transformer=None)


def _fill_h5py() -> None:
    """Diarization imports it to write the predictions that are scored elsewhere."""
    if importlib.util.find_spec("h5py") is None:
        stand_in("h5py", File=_no_h5py)


def _no_h5py(*_args: Any, **_kwargs: Any) -> Any:
    raise BudgetError("scorerc.save_predictions needs h5py; pip install h5py")


def stand_in(name: str, **attributes: Any) -> ModuleType:
    """Make a stand-in module, known to ``sys.modules`` and to ``importlib.util.find_spec``."""
    module = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module
