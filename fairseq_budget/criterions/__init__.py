"""fairseq criterions: network output -> losses -> log. Listed by hand, no folder magic."""

from fairseq_budget.criterions import (  # noqa: F401
    contrastive,
    distillation,
    masked_prediction,
    recognition,
    reconstruction,
)
