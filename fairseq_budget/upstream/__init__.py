"""The s3prl adapter: our encoders as upstreams of an unmodified s3prl 0.4.18.

>>> from fairseq_budget.upstream import S3PRLUpstream  # in place of s3prl.nn: knows our upstreams
>>> S3PRLUpstream("budget_upstream", path_or_url="exported/")  # doctest: +SKIP

Modules of this package import neither s3prl nor torchaudio, and patch nothing, when they are
imported. The line above does, as do the functions of ``compat`` and their callers.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """``S3PRLUpstream`` and ``Featurizer`` of s3prl.nn, which then know our upstreams.

    s3prl is imported only now, without its many warnings. Raises BudgetError where it is missing.
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
