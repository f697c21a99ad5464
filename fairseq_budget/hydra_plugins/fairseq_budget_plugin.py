"""The start of every run of ours: installed as ``hydra_plugins``, which Hydra scans.

``user_dir=fairseq_budget`` resolves from any folder, and is not needed where our task is named:
fairseq looks for a bare user_dir in the working folder and beside itself only. Hydra asks this
plug-in in every program that uses Hydra, so it acts only where ``fairseq-hydra-train`` has been
started, and never raises but to end such a program with a message.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal import utils as hydra_utils
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

PACKAGE = "fairseq_budget"
logger = logging.getLogger(PACKAGE)


class BudgetSearchPathPlugin(SearchPathPlugin):
    """A plug-in's one occasion between reading the command line and reading the preset."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:  # noqa: ARG002
        try:
            install()
        except Exception as error:  # must never break somebody else's Hydra program
            logger.warning("the fairseq_budget plug-in is off: %s", error)


def install() -> None:
    """Wrap what fairseq starts every kind of run through, and what reports Hydra's refusals."""
    train = sys.modules.get("fairseq_cli.hydra_train")
    if train is None or getattr(train.distributed_utils.call_main, "is_budget", False):
        return
    from fairseq_budget.launch import presets

    args = hydra_utils.get_args()
    if message := presets.complaint(args):
        sys.exit(f"fairseq-hydra-train: error: {message}")
    train.distributed_utils.call_main = _wrap(train.distributed_utils.call_main)
    if presets.is_ours(args):
        _hush()


def _hush() -> None:
    from fairseq_budget.console.quiet import hush, is_debug
    from fairseq_budget.launch import settings

    if not is_debug():
        hush()
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of processes that are spawned
        report = hydra_utils.run_and_report
        hydra_utils.run_and_report = lambda func: report(functools.partial(settings.told, func))


def _wrap(call_main: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call_main)
    def wrapped(cfg: Any, main: Any, **kwargs: Any) -> Any:
        if not names_us(cfg):
            return call_main(cfg, main, **kwargs)
        adapt(cfg)
        require_writable(cfg.checkpoint.save_dir)
        from fairseq_budget.launch import processes

        return processes.start(call_main, cfg, main, **kwargs)

    wrapped.is_budget = True  # type: ignore[attr-defined]
    return wrapped


def names_us(cfg: Any) -> bool:
    """Whether user_dir does, or stands at nothing that exists while a task or model is ours."""
    from fairseq_budget.launch.presets import kind_of

    user_dir = cfg.common.user_dir
    if user_dir is not None and (Path(user_dir).exists() or Path(user_dir).name == PACKAGE):
        return Path(user_dir).name == PACKAGE
    return any(str(kind_of(cfg, each)).startswith("budget_") for each in ("task", "model"))


def adapt(cfg: Any) -> None:
    """An absolute user_dir, which spawned workers find too; what fairseq's defaults get wrong."""
    named = cfg.common.user_dir
    if named is None or not Path(named).exists():
        if named not in (None, PACKAGE):
            logger.warning("user_dir=%s is not there: taking %s", named, PACKAGE)
        spec = importlib.util.find_spec(PACKAGE)
        if spec and spec.submodule_search_locations:
            cfg.common.user_dir = str(Path(spec.submodule_search_locations[0]).resolve())
    # fairseq would send rank 0's to the others by pickle, which torch refuses to read
    cfg.checkpoint.load_checkpoint_on_all_dp_ranks = True
    import torch  # fairseq has imported it long ago

    if cfg.common.fp16 and (cfg.common.cpu or not torch.cuda.is_available()):
        logger.warning("no GPU to use: training in float32 (common.fp16=false)")
        cfg.common.fp16 = False


def require_writable(folder: str) -> None:
    """End the program now rather than at the first checkpoint."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        sys.exit(
            f"fairseq-hydra-train: error: cannot write to checkpoint.save_dir={folder} "
            f"({error.strerror}): choose a folder that you may write to"
        )
