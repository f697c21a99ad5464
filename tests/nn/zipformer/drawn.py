"""What tests of the Zipformer draw from a seed."""

import torch

from fairseq_budget.nn.zipformer.chance import Chance


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def training(seed: int = 0, batch_count: float = 0.0) -> Chance:
    return Chance(True, batch_count=batch_count, generator=torch.Generator().manual_seed(seed))
