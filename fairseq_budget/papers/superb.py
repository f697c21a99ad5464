"""Where SUPERB's overall score is 0 and where it is 1000, of each of its ten tasks.

`reference_points` of the leaderboard's own page (https://github.com/superbbenchmark/website-react,
``frontend/src/Data.js``, at commit 8e5f695), which counts what is right where s3prl counts errors.
"""

from __future__ import annotations

Ends = tuple[float, float]

REFERENCE_POINTS: dict[str, dict[str, Ends]] = {  # task, metric: log-mel, best; in per cent
    "pr": {"PER": (82.01, 3.53)},
    "asr": {"WER": (23.18, 3.62)},
    "ks": {"accuracy": (41.3826674, 96.66)},
    "qbe": {"MTWV": (0.58, 7.36)},
    "sid": {"accuracy": (20.058174, 90.3)},
    "asv": {"EER": (9.56, 5.11)},
    "sd": {"DER": (10.05, 5.62)},
    "ic": {"accuracy": (9.649354219, 98.76)},
    "sf": {"slot type F1": (69.64, 89.81), "slot value CER": (52.94, 21.76)},
    "er": {"accuracy": (48.23672168, 67.62)},
}
"""Of metrics by the names that our tables give them; a score may be beyond both."""
