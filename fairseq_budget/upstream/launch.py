"""Running s3prl's own ``run_downstream.py`` with our upstreams, configurations and cures.

The arguments are s3prl's. What is added: the two upstream names, ``-c`` for the downstream tasks
that have a configuration in this package, ``--device cpu`` where there is no CUDA, and messages in
place of tracebacks for the usual mistakes.
"""

from __future__ import annotations

import argparse
import builtins
import importlib
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fairseq_budget.errors import BudgetError, expected_one_of
from fairseq_budget.run.allocator import keep_freed_memory
from fairseq_budget.structured import check_entries, conform, read_yaml
from fairseq_budget.upstream.register import register

CONFIGS = Path(__file__).with_name("configs")
DATA_KEYS = ("file_path", "root", "speech_commands_root")  # where each expert looks for its audio


def run(arguments: list[str]) -> None:
    """Run s3prl's downstream runner on ``arguments`` (without the program's name).

    Raises BudgetError for what the user can cure; s3prl's own errors pass through.
    """
    register()
    keep_freed_memory()
    _hear_true_lengths()
    with _s3prl_process(complete_arguments(arguments)):
        importlib.import_module("s3prl.run_downstream").main()


def _hear_true_lengths() -> None:
    """Let the runner's Featurizer cut features where an upstream says so (``sequence: segments``).

    s3prl's own takes lengths from those of waveforms, which short sequences do not follow.
    """
    runner = importlib.import_module("s3prl.downstream.runner")
    standard = importlib.import_module("s3prl.upstream.interfaces").Featurizer

    class Featurizer(standard):  # type: ignore[misc, valid-type]
        def forward(self, paired_wavs: Any, paired_features: dict[str, Any]) -> Any:
            self.true_lengths = paired_features.get("hidden_states_len")
            return super().forward(paired_wavs, paired_features)

        def tolist(self, paired_wavs: Any, paired_feature: Any) -> Any:
            if self.true_lengths is None:
                return super().tolist(paired_wavs, paired_feature)
            lengths = self.true_lengths.tolist()
            return [row[:length] for row, length in zip(paired_feature, lengths, strict=True)]

    runner.Featurizer = Featurizer  # type: ignore[attr-defined]


def complete_arguments(arguments: list[str]) -> list[str]:
    """``arguments`` with the device and our configuration filled in where they are missing."""
    given = _parser().parse_known_args(arguments)[0]
    added = []
    if given.device is None and not torch.cuda.is_available():
        added += ["--device", "cpu"]
    if given.past_exp is not None and not Path(given.past_exp).exists():
        raise BudgetError(f"-e {given.past_exp}: there is no such checkpoint or experiment folder")
    if given.downstream is not None and given.config is None and given.past_exp is None:
        config = find_config(given.downstream)
        _check_data(config, given.override or "")
        added += ["--config", str(config)]
    return [*arguments, *added]


def find_config(downstream: str) -> Path:
    """The configuration that ``-d`` means without ``-c``: s3prl's default place, then ours."""
    standard = Path("downstream", downstream, "config.yaml")  # a checkout of s3prl
    packaged = CONFIGS / f"{downstream}.yaml"
    for path in (standard, packaged):
        if path.is_file():
            return path
    ours = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    raise BudgetError(
        f"-d {downstream}: no configuration (give your own with -c FILE), "
        f"{expected_one_of(downstream, ours)}"
    )


def _check_data(config: Path, override: str) -> None:
    """Catch absent data before s3prl builds the upstream and fails in the middle of a reader."""
    try:
        content = read_yaml(config, dict[str, Any])["downstream_expert"]["datarc"]
        datarc = conform(content, dict[str, Any], "downstream_expert.datarc")
        check_entries(datarc, dict.fromkeys(DATA_KEYS, str))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BudgetError(
            f"{config} is no configuration of s3prl's ({type(error).__name__}: {error}): expected "
            "yaml with downstream_expert.datarc"
        ) from error
    for key in DATA_KEYS:
        field = f"config.downstream_expert.datarc.{key}"
        if key in datarc and field not in override and not Path(datarc[key]).exists():
            raise BudgetError(
                f"no data at {datarc[key]} (the default of {config.name}): make it with "
                f"budget-downstream layout, or name yours with -o \"{field}='PATH'\""
            )


def _parser() -> argparse.ArgumentParser:
    """The few of s3prl's options that matter here, spelled as there."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-d", "--downstream")
    parser.add_argument("-c", "--config")
    parser.add_argument("-e", "--past_exp")
    parser.add_argument("-o", "--override")
    parser.add_argument("--device")
    return parser


@contextmanager
def _s3prl_process(arguments: list[str]) -> Iterator[None]:
    """Lend s3prl what it takes for its own: sys.argv, builtins.isinstance and a cache folder."""
    argv, isinstance_ = sys.argv, builtins.isinstance
    sys.argv = ["run_downstream.py", *arguments]
    with tempfile.TemporaryDirectory() as cache, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp", category=FutureWarning)
        logging.getLogger("s3prl").setLevel(logging.WARNING)
        _redirect_speaker_cache(cache)
        try:
            yield
        finally:
            sys.argv, builtins.isinstance = argv, isinstance_


def _redirect_speaker_cache(folder: str) -> None:
    """Keep voxceleb1's file list out of s3prl's own folder.

    s3prl stores it there by split name alone, so a second corpus would silently train and test on
    the files of the first.
    """
    dataset = importlib.import_module("s3prl.downstream.voxceleb1.dataset")
    dataset.CACHE_PATH = folder  # type: ignore[attr-defined]
