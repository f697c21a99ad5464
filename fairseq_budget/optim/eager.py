"""Optimizers without torch's compiler, whose import takes longer than that of torch."""

from __future__ import annotations

import inspect

from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def keep_from_compiler() -> None:
    """From now on no optimizer of this process imports torch._dynamo: 1.5 s, and 60 MB.

    torch wraps these methods so that none becomes part of a graph, and what they are wrapped in
    imports the compiler at the first call; nothing of ours compiles an optimizer. Those of
    fairseq and ours only: `step` of torch's own (SGD, Adam, ...) imports it all the same.
    """
    for name in _WRAPPED:
        setattr(Optimizer, name, inspect.unwrap(getattr(Optimizer, name)))
