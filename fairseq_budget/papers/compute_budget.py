"""Runs and results of "Efficient Training ... on a Compute Budget"."""

from __future__ import annotations

from dataclasses import dataclass

MASK_PROB = {"tera": 0.8, "hubert": 0.8, "wav2vec2": 0.65}
"""Objectives, and the share of frames that their spans would cover without overlap."""

NUM_CLASSES = 504  # HuBERT, second iteration: 500 clusters and four specials of the dictionary

PAPER_FLOPS = 1.33e18

PAPER_DEAD_LABELS = 104  # label embeddings that the paper's TERA holds and never uses

WARMUP_SHARE = 0.08  # the paper's 32,000 of Slim's 400,000 updates


@dataclass(frozen=True)
class PaperRun:
    """The study's run of a size (Table 4 and the released configurations)."""

    max_update: int
    lr: dict[str, float]


def _run(max_update: int, tera: float, hubert: float, wav2vec2: float) -> PaperRun:
    return PaperRun(max_update, {"tera": tera, "hubert": hubert, "wav2vec2": wav2vec2})


PAPER_RUNS: dict[str, PaperRun] = {
    "slim_30": _run(550070, 5e-4, 5e-4, 4e-4),
    "slim_50": _run(499953, 5e-4, 5e-4, 4e-4),
    "slim_70": _run(454811, 5e-4, 5e-4, 4e-4),
    "small": _run(400000, 5e-4, 5e-4, 5e-4),
    "slim": _run(400000, 5e-4, 5e-4, 4e-4),
    "slim_200": _run(297370, 4e-4, 4e-4, 3e-4),
    "base": _run(187222, 3e-4, 3e-4, 2e-4),
    "large": _run(72234, 5e-5, 2e-4, 1e-4),
}

BEST_SIZE = "slim_200"

MOST_EPOCHS = 24.74  # over 960 hours, by the study's smallest size

WORD_ERRORS = {  # of small and of slim, in per cent (Table 2)
    "tera": (19.43, 16.26),
    "hubert": (19.37, 14.56),
    "wav2vec2": (20.18, 17.01),
}

ZIPFORMERS = (
    "The study ran no Zipformer. In k2SSL's Table II, zipformer_base made 7.87 % word errors where "
    "a transformer of base's size made 11.09, in 0.6 of its GPU hours."
)

HEARD_SECONDS = 156.06  # of audio in an update, on both GPUs
CORPUS_HOURS = 960

FIGURE_2 = {  # by objective and size: word errors, EER of ASV, training loss, validation loss
    "hubert": {
        "slim_30": (20.04, 8.75, 4.971, 4.640),
        "slim_50": (17.23, 7.63, 4.683, 4.356),
        "slim_70": (16.08, 7.55, 4.563, 4.274),
        "slim": (14.56, 7.15, 4.467, 4.179),
        "slim_200": (14.76, 6.60, 4.402, 4.148),
        "base": (15.18, 6.83, 4.462, 4.198),
        "large": (20.00, 10.40, 4.881, 4.669),
    },
    "wav2vec2": {
        "slim_30": (21.81, 10.73, 3.290, 2.903),
        "slim_50": (18.73, 9.12, 3.041, 2.653),
        "slim_70": (17.69, 9.14, 3.042, 2.658),
        "slim": (17.01, 8.93, 2.953, 2.582),
        "slim_200": (16.24, 8.39, 2.967, 2.614),
        "base": (18.25, 9.02, 3.226, 2.818),
        "large": (25.54, 10.71, 3.594, 3.245),
    },
    "tera": {
        "slim_30": (21.00, 10.51, 5.463, 5.135),
        "slim_50": (18.08, 8.52, 5.299, 4.987),
        "slim_70": (17.17, 8.22, 5.224, 4.910),
        "slim": (16.26, 7.61, 5.178, 4.855),
        "slim_200": (13.97, 6.77, 5.001, 4.693),
        "base": (17.29, 7.56, 5.185, 4.920),
        "large": (21.90, 10.71, 5.627, 5.446),
    },
}
"""Of the study's released plotting scripts; losses are divided by ln 2, penalties included."""

_COLUMNS = ("asr", "pr", "asv", "sd", "sf", "ks", "ic", "sid", "er")
SUPERB = {  # Table 2, in per cent, of slot filling the F1; and Table 3, by hours of pre-training
    name: dict(zip(_COLUMNS, scores, strict=True))
    for name, scores in {
        "HuBERT Small": (19.37, 36.30, 8.82, 8.04, 70.28, 89.39, 63.09, 59.12, 59.38),
        "HuBERT Slim": (14.56, 21.85, 7.15, 7.16, 82.04, 93.51, 84.31, 59.19, 60.34),
        "wav2vec 2.0 Small": (20.18, 37.38, 10.49, 9.67, 72.48, 89.45, 65.36, 43.81, 59.93),
        "wav2vec 2.0 Slim": (17.01, 27.66, 8.93, 8.20, 78.34, 91.27, 74.14, 40.46, 60.14),
        "TERA Small": (19.43, 36.97, 9.97, 8.53, 70.11, 87.37, 52.07, 53.21, 58.41),
        "TERA Slim": (16.26, 30.47, 7.61, 10.09, 75.08, 91.50, 66.36, 55.14, 59.05),
        "wav2vec 2.0 Slim, 1 h": (39.60, 68.05, 21.56, 10.49, 72.02, 70.20, 30.32, 10.21, 53.23),
        "wav2vec 2.0 Slim, 10 h": (23.88, 46.62, 12.52, 9.25, 74.41, 84.13, 48.62, 30.37, 55.03),
        "wav2vec 2.0 Slim, 100 h": (18.66, 28.59, 9.69, 8.67, 78.83, 89.87, 63.09, 38.90, 60.29),
    }.items()
}
