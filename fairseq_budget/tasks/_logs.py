"""Logs of an update, off the device in one copy."""

from typing import Any, Dict, List

import torch
from torch import Tensor


def bring_to_host(logs: List[Dict[str, Any]]) -> None:
    """Make numbers of all tensors of one element in ``logs``, waiting for their device once."""
    found = [(log, key) for log in logs for key, value in log.items() if isinstance(value, Tensor)]
    if found:
        values = torch.stack([log[key].detach().double().reshape(()) for log, key in found])
        for (log, key), value in zip(found, values.tolist(), strict=True):
            log[key] = value
