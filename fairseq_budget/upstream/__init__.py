"""The s3prl adapter: our encoders as upstreams of an unmodified s3prl 0.4.18.

>>> from fairseq_budget.upstream import S3PRLUpstream  # in place of s3prl.nn: knows our upstreams
>>> S3PRLUpstream("budget_upstream", path_or_url="exported/")  # doctest: +SKIP

Importing any module of this package imports neither s3prl nor torchaudio and patches nothing; only
that line, the functions of ``compat``, and those that call them, do.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """``S3PRLUpstream`` and ``Featurizer`` of s3prl.nn, imported, with our upstreams, when asked.

    Without the many warnings that s3prl's import gives. Raises BudgetError without s3prl.
    """
    if name not in ("S3PRLUpstream", "Featurizer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import warnings

    from fairseq_budget.upstream.register import register

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        register()
        return getattr(importlib.import_module("s3prl.nn"), name)
