"""Self-supervised speech pre-training for one or two GPUs, as a fairseq plug-in.

``docs/architecture.md`` is the guided tour: which folder holds what, and which imports which. This
module imports nothing: ``import fairseq_budget.nn.encoder`` costs only torch.
"""

__version__ = "0.3.0"
