"""Self-supervised speech pre-training for one or two GPUs, as a fairseq plug-in.

A room is named by what it holds; imports go down only (``lint-imports``)::

    cli/<command>/<subcommand>.py                  launch/
    tasks/
    models/  criterions/        segmentation/
    optimizers/                 labels/  asr/  report/
    data/        upstream/      prepare/  text/
                                corpus/  downstream/
                                budget/  pretrained/  demo/
                                audio/  losses/  papers/  run/
                                nn/  optim/  files.py
    console/  errors.py  frames.py  sizes.py

Left: adapters, of fairseq (tasks, models, criterions, optimizers, data, launch, hydra_plugins) and
of s3prl (upstream); all else is torch and numpy, and knows no host. ``docs/architecture.md`` is the
guided tour. This module imports nothing: ``import fairseq_budget.nn.encoder`` costs only torch.
"""

__version__ = "0.3.0"
