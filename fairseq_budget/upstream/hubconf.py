"""The names that s3prl calls, in the shape of its own upstream folders: ``-u budget_upstream``."""

from __future__ import annotations

from typing import Any

from fairseq_budget.upstream.expert import LogMelExpert, UpstreamExpert


def budget_upstream(
    ckpt: str | None = None, model_config: Any = None, refresh: bool = False, **kwargs: Any
) -> UpstreamExpert:
    """A pre-trained encoder of this project; see `UpstreamExpert` for ``ckpt`` and options."""
    return UpstreamExpert(ckpt, model_config, **kwargs)


def budget_logmel(
    ckpt: str | None = None, model_config: Any = None, refresh: bool = False, **kwargs: Any
) -> LogMelExpert:
    """Log-mel features without per-utterance normalisation; takes neither ``-k`` nor ``-g``."""
    return LogMelExpert(ckpt, model_config, **kwargs)
