"""fairseq optimizers and schedules: registration and config. Listed by hand, no folder magic."""

from fairseq_budget.optimizers import adam, eden, scaled_adam  # noqa: F401
