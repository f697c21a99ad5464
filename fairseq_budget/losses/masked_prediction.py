"""HuBERT's loss: cross-entropy over clusters, whichever head gave the logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm


def cluster_cross_entropy(logits: Tensor, labels: Tensor) -> LossTerm:
    """Sum of -log p(label) in float32 (nats), and the number of frames.

    logits (N, V), labels (N,) int. With cosine logits over a temperature this is HuBERT's eq. 3,
    with linear ones k2SSL's eq. 2. Trivial value: log V per frame.
    """
    return LossTerm(F.cross_entropy(logits.float(), labels, reduction="sum"), len(labels))
