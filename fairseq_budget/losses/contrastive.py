"""wav2vec 2.0's loss: find the true quantized frame among others of the same utterance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_budget.losses import LossTerm


def sample_negatives(
    counts: Tensor, rows: Tensor, num_negatives: int, generator: torch.Generator | None = None
) -> Tensor:
    """For each of N masked frames, other masked frames of its utterance, with replacement.

    counts (B,): masked frames of each utterance; rows (N,): the utterance of each frame, in order.
    Returns (N, K) indices into the N frames, uniform over the utterance without the frame itself.
    A frame that is alone can only get itself. Nothing is copied to the host.
    """
    start = (counts.cumsum(0) - counts)[rows].unsqueeze(1)  # (N, 1)
    own = torch.arange(len(rows), device=rows.device).unsqueeze(1) - start
    others = (counts[rows] - 1).unsqueeze(1)
    uniform = torch.rand(len(rows), num_negatives, device=rows.device, generator=generator)
    # float32 can round a product up to its bound
    draw = (uniform * others).long().minimum((others - 1).clamp(min=0))
    return start + (draw + (draw >= own)).minimum(others)


def contrastive_logits(
    context: Tensor, target: Tensor, negatives: Tensor, codes: Tensor, *, temperature: float
) -> Tensor:
    """Cosine similarities over a temperature, the true target first: (N, 1 + K) float32.

    context, target (N, D); negatives (N, K) indices of targets; codes (N, G). A negative with the
    true target's codes is the same vector and gets -inf. Similarities of all pairs cost N x N
    products; gathering K vectors of width D for each frame would move many times more.
    """
    similarity = F.normalize(context.float(), dim=1) @ F.normalize(target.float(), dim=1).T
    same = (codes[negatives] == codes.unsqueeze(1)).all(2)
    chosen = similarity.gather(1, negatives).masked_fill(same, float("-inf"))
    return torch.cat([similarity.diagonal().unsqueeze(1), chosen], dim=1) / temperature


def info_nce(logits: Tensor) -> LossTerm:
    """Sum of -log softmax of column 0 (wav2vec 2.0, eq. 3), and the number of frames."""
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return LossTerm(F.cross_entropy(logits, target, reduction="sum"), len(logits))
