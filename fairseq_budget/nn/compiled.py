"""An encoder's parts under torch.compile: one graph for the layers of a kind, whatever the length.

In place, so that names of weights stay, and part by part: which layers an update skips is chosen on
the host, and a graph of the whole would be one for every choice. A part that is copied or pickled
is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from fairseq_budget.nn.conv_frontend import ConvFrontend
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.transformer import TransformerEncoder

# of a kind of part: in training and not, padded and not, of one utterance or more
MAX_GRAPHS = 64
# torch's generator in place of the compiler's own: the same values are dropped as without it
INDUCTOR = {"backend": "inductor", "options": {"fallback_random": True}}


def compile_parts(encoder: SpeechEncoder, **how: Any) -> None:
    """Compile what `parts` names when it is next called; ``how`` goes to torch.compile."""
    import torch._dynamo  # not before: its import takes longer than torch's

    torch._dynamo.config.cache_size_limit = MAX_GRAPHS
    for part in parts(encoder):
        part.compile(dynamic=True, **(how or INDUCTOR))


def parts(encoder: SpeechEncoder) -> Iterator[nn.Module]:
    """Convolutions of the front-end but for the first, and a transformer's layers.

    The first convolution is a norm in float64 of a few numbers and one matrix product, and log-mel
    frames are as little. A Zipformer draws on the host what each of its modules does, so there it
    is the front-end alone.
    """
    if isinstance(encoder.feature_extractor, ConvFrontend):
        yield from list(encoder.feature_extractor.conv_layers)[1:]
    if isinstance(encoder.encoder, TransformerEncoder):
        yield encoder.encoder.pos_conv
        yield from encoder.encoder.layers


@contextmanager
def as_written(model: nn.Module) -> Iterator[None]:
    """Inside, nothing in ``model`` runs compiled: graphs pass over the hooks of what is in them."""
    compiled = {m: m._compiled_call_impl for m in model.modules() if m._compiled_call_impl}
    try:
        for module in compiled:
            module._compiled_call_impl = None
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call
