"""Adding our upstreams to ``s3prl.hub``, the only list of names that s3prl looks at."""

from __future__ import annotations

import importlib

from fairseq_budget.upstream import hubconf
from fairseq_budget.upstream.compat import prepare_s3prl

UPSTREAMS = ("budget_upstream", "budget_logmel")


def register() -> None:
    """Make ``-u budget_upstream`` and ``-u budget_logmel`` known; calling it again is harmless.

    >>> register()
    >>> from s3prl.nn import S3PRLUpstream
    >>> S3PRLUpstream("budget_upstream", path_or_url="exported/")  # doctest: +SKIP
    """
    prepare_s3prl()
    hub = importlib.import_module("s3prl.hub")
    for name in UPSTREAMS:
        setattr(hub, name, getattr(hubconf, name))
