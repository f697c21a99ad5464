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

from fairseq_budget.errors import BudgetError, did_you_mean
from fairseq_budget.run.allocator import keep_freed_memory
from fairseq_budget.structured import conform, read_yaml
from fairseq_budget.upstream.experts import staying_on, supplied_experts
from fairseq_budget.upstream.register import register
from fairseq_budget.upstream.scalars import write_scalars

CONFIGS = Path(__file__).with_name("configs")
DATA_KEYS = (  # where the experts look for their audio: sections and keys
    *(("datarc", key) for key in ("file_path", "root", "speech_commands_root", "libri_root")),
    *(("datarc", "dataset_root"), ("corpus", "path"), ("loaderrc", "train_dir")),
)


def run(arguments: list[str]) -> None:
    """Run s3prl's downstream runner on ``arguments`` (without the program's name).

    Raises BudgetError for what the user can cure; s3prl's own errors pass through.
    """
    register()
    keep_freed_memory()
    _hear_true_lengths()
    _log_as_text()
    arguments = complete_arguments(arguments)
    with _s3prl_process(arguments), staying_on(_parser().parse_known_args(arguments)[0].device):
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


def _log_as_text() -> None:
    runner = importlib.import_module("s3prl.downstream.runner")
    runner.SummaryWriter = write_scalars(  # type: ignore[attr-defined]
        importlib.import_module("tensorboardX").SummaryWriter
    )


def complete_arguments(arguments: list[str]) -> list[str]:
    """``arguments`` with the device and our configuration filled in where they are missing."""
    given = _parser().parse_known_args(arguments)[0]
    added: list[str] = []
    if given.device is None and not torch.cuda.is_available():
        added += ["--device", "cpu"]
    if given.past_exp is not None and not Path(given.past_exp).exists():
        raise BudgetError(f"-e {given.past_exp}: there is no such checkpoint or experiment folder")
    if given.downstream is not None and given.past_exp is None and not _is_file(given.config):
        config = find_config(given.downstream, given.config)
        _check_data(config, given.override or "")
        added += ["--config", str(config)]
    return [*arguments, *added]


def _is_file(path: str | None) -> bool:
    return path is not None and Path(path).is_file()


def find_config(downstream: str, named: str | None = None) -> Path:
    """The configuration that ``-d`` means: s3prl's default place, then ours.

    So does a `named` one of s3prl's, such as ``-c downstream/ctc/snips.yaml``, that is not there.
    """
    standard = Path(named or f"downstream/{downstream}/config.yaml")  # a checkout of s3prl's
    below = Path(*standard.parts[standard.parts[:1] == ("downstream",) :])
    packaged = CONFIGS / (below if named else f"{downstream}.yaml")
    for path in (standard, packaged):
        if path.is_file():
            return path
    ours = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
    asked = f"-d {downstream}" + (f" -c {named}" if named else "")
    raise BudgetError(
        f"{asked}: no configuration (give your own with -c FILE); ours are {', '.join(ours)}"
        f"{did_you_mean(below.as_posix() if named else f'{downstream}.yaml', ours)}"
    )


def _check_data(config: Path, override: str) -> None:
    """Catch absent data before s3prl builds the upstream and fails in the middle of a reader."""
    try:
        content = read_yaml(config, dict[str, Any])["downstream_expert"]
        expert = conform(content, dict[str, Any], "downstream_expert")
        sections = {
            name: conform(expert[name], dict[str, Any], name)
            for name, _ in DATA_KEYS
            if name in expert
        }
        paths = {
            f"{name}.{key}": conform(sections[name][key], str, key)
            for name, key in DATA_KEYS
            if key in sections.get(name, {})
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BudgetError(
            f"{config} is no configuration of s3prl's ({type(error).__name__}: {error}): expected "
            "yaml with downstream_expert, a mapping of mappings"
        ) from error
    for key, path in paths.items():
        field = f"config.downstream_expert.{key}"
        if field not in override and not Path(path).exists():
            raise BudgetError(
                f"no data at {path} (the default of {config.name}): make it with "
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
    with (
        tempfile.TemporaryDirectory() as cache,
        supplied_experts(cache),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp", category=FutureWarning)
        logging.getLogger("s3prl").setLevel(logging.WARNING)
        try:
            yield
        finally:
            sys.argv, builtins.isinstance = argv, isinstance_
