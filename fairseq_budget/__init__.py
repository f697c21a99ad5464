"""Self-supervised speech pre-training for one or two GPUs, as a fairseq plug-in.

Three floors; imports go down only.

2   ``cli/``                                          command lines, no arithmetic
1a  ``tasks/ models/ criterions/ optimizers/ data/``  fairseq adapters
1b  ``upstream/``                                     s3prl adapter; never meets 1a
0   everything else                                   torch, numpy; no fairseq, s3prl or hydra

This module imports nothing, so ``import fairseq_budget.nn.encoder`` costs only torch.
"""

__version__ = "0.1.0"
