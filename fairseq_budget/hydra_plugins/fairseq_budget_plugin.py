"""Makes ``user_dir=fairseq_budget`` resolve from any folder; installed as ``hydra_plugins``.

fairseq looks for a bare user_dir in the working folder and beside itself only, which misses an
editable install. Hydra imports this module in every program that uses Hydra, so it acts only where
``fairseq-hydra-train`` has been started, imports nothing of the package before fairseq does, and
never raises but to end such a program with a message.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGE = "fairseq_budget"
logger = logging.getLogger(PACKAGE)


def install() -> None:
    """Wrap the one function through which fairseq-hydra-train starts every kind of run."""
    train = sys.modules.get("fairseq_cli.hydra_train")
    if train is None or getattr(train.distributed_utils.call_main, "is_budget", False):
        return
    message = missing_preset(sys.argv[1:])
    if message:
        sys.exit(message)
    train.distributed_utils.call_main = _wrap(train.distributed_utils.call_main)


def _wrap(call_main: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call_main)
    def wrapped(cfg: Any, main: Any, **kwargs: Any) -> Any:
        if Path(str(cfg.common.user_dir)).name != PACKAGE:
            return call_main(cfg, main, **kwargs)
        adapt(cfg)
        require_writable(cfg.checkpoint.save_dir)
        from fairseq_budget.launch import processes

        return processes.start(call_main, cfg, main, **kwargs)

    wrapped.is_budget = True  # type: ignore[attr-defined]
    return wrapped


def adapt(cfg: Any) -> None:
    """An absolute user_dir, which spawned workers find too; what fairseq's defaults get wrong."""
    if not Path(cfg.common.user_dir).exists():
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


def missing_preset(argv: list[str]) -> str | None:
    """What to tell a user of ours who gave no --config-name, else None."""
    if any(word.split("=")[0] in ("--config-name", "-cn") for word in argv):
        return None
    if any(word in ("--help", "-h", "--version", "--info", "--hydra-help") for word in argv):
        return None
    folders = [b for a, b in itertools.pairwise(argv) if a in ("--config-dir", "-cd")]
    folders += [word.split("=", 1)[1] for word in argv if word.startswith("--config-dir=")]
    presets = sorted(p.stem for folder in folders for p in Path(folder).glob("budget_*.yaml"))
    if not presets and not any(PACKAGE in word for word in argv):
        return None
    names = "\n  ".join(presets) or "(none found: --config-dir must name the examples/ folder)"
    return (
        f"fairseq-hydra-train: error: no preset chosen. Add --config-name PRESET, one of\n  {names}"
    )


try:
    install()
except Exception as error:  # a broken plug-in must never break somebody else's Hydra program
    logger.warning("the fairseq_budget plug-in is off: %s", error)
