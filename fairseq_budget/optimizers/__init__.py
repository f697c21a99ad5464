"""fairseq optimizers and schedules: registration and config. Listed by hand, no folder magic."""

from fairseq_budget.optimizers import eden, scaled_adam  # noqa: F401
