"""Table 2 of "On Compressing Sequences for Self-Supervised Speech Models"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fairseq_budget.nn.config import EncoderConfig

PROFILER_NUM_SAMPLES = (
    *(20560, 34560, 38480, 42560, 45600, 48720, 52000, 55120, 59120, 62720, 66400, 71200, 75200),
    *(78640, 82800, 87520, 92720, 98560, 104400, 111120, 118480, 125040, 132720, 142640, 154000),
    *(166720, 180880, 197920, 217920, 239280, 268160, 326000),
)
"""Lengths of the profiler's utterances, 225 s of LibriSpeech's test-clean: every 82nd by length."""

TEACHER = EncoderConfig(size="base")  # HuBERT Base

STUDENT = EncoderConfig(
    size="base", encoder_layers=2, feature_layer_norm=False, mask_embedding=False
)
"""DistilHuBERT without its heads."""

BASELINE_NOTE = (
    "DistilHuBERT: the paper prints 758.9 and 207.1. Most probably the first is 785.9 with two "
    "digits swapped, and the second what is left of it without the front-end's 551.8: all other "
    "rows of fixed rates agree within 0.1. An inference; the authors have not confirmed it"
)

ROUNDED_NOTE = (
    "The last seven rows, of CIF: ours are at the rates that the paper prints, and it has rounded "
    "them; its MACs imply periods of 41.3, 81.8, 39.6, 78.1, 92.0, 163.7 and 88.4 ms"
)


@dataclass(frozen=True)
class PaperRow:
    """A line of Table 2: millions of parameters, GMACs in all and without the front-end."""

    name: str
    config: EncoderConfig
    parameters_m: float | None
    gmacs: float
    body_gmacs: float | None


def _row(name: str, subsample: str, rate: float, *printed: float) -> PaperRow:
    upsample = name.startswith(("conv-deconv", "avg-repeat"))
    config = replace(STUDENT, subsample=subsample, subsample_rate=rate, upsample=upsample)
    return PaperRow(name, config, *printed)


PAPER_ROWS = (
    PaperRow("HuBERT Base", TEACHER, None, 1669.16, None),  # SUPERB's leaderboard
    PaperRow("DistilHuBERT", STUDENT, 23.49, 758.9, 207.1),
    _row("conv-deconv 2", "conv", 2, 25.20, 667.6, 115.8),
    _row("conv-deconv 4", "conv", 4, 26.90, 610.3, 58.5),
    _row("avg-repeat 2", "average", 2, 23.49, 664.6, 112.8),
    _row("avg-repeat 4", "average", 4, 23.49, 607.3, 55.5),
    _row("avg 2", "average", 2, 23.49, 664.6, 112.8),
    _row("avg 4", "average", 4, 23.49, 607.3, 55.5),
    _row("avg 8", "average", 8, 23.49, 579.5, 27.7),
    _row("card 2", "cif", 2, 24.81, 675.7, 123.9),
    _row("card 4", "cif", 4, 24.81, 620.7, 68.9),
    _row("DP 0", "cif", 2, 24.81, 680.6, 128.8),
    _row("DP 25", "cif", 4, 24.81, 623.3, 71.5),
    _row("DP 35", "cif", 4.5, 24.81, 614.6, 62.8),
    _row("DP 75", "cif", 8, 24.81, 593.4, 41.6),
    _row("w2v-u 2.0", "cif", 4.5, 24.81, 616.6, 64.8),
)

PAPER_WORD_PIECES = (100, 200, 500, 1000, 5000, 16000)
"""Of Figure 2 in "On Compressing Sequences for Self-Supervised Speech Models"."""

_COLUMNS = ("pr", "asr5k", "ks", "ic", "sid", "er")
SUPERB = {  # Table 2, in per cent; of segments from forced alignments two tasks alone
    name: dict(zip(_COLUMNS, scores, strict=False))
    for name, scores in {
        "DistilHuBERT": (16.27, 12.86, 95.98, 94.99, 73.54, 63.02),
        "conv-deconv 2": (16.06, 13.62, 95.78, 92.06, 67.13, 63.08),
        "conv-deconv 4": (32.04, 16.15, 95.75, 90.67, 62.65, 61.62),
        "avg-repeat 2": (15.54, 13.50, 96.04, 95.15, 71.16, 62.98),
        "avg-repeat 4": (30.69, 16.14, 95.78, 93.33, 68.56, 61.13),
        "avg 2": (15.43, 13.31, 95.59, 94.31, 72.19, 63.17),
        "avg 4": (30.50, 15.55, 95.88, 93.12, 69.33, 62.41),
        "avg 8": (79.98, 24.90, 95.26, 90.85, 68.46, 60.79),
        "card 2": (17.23, 14.24, 94.97, 88.74, 70.44, 62.04),
        "card 4": (38.51, 16.88, 95.13, 90.51, 70.27, 61.31),
        "DP 0": (15.53, 14.19, 95.65, 94.54, 71.42, 62.67),
        "DP 25": (21.94, 15.33, 95.72, 94.62, 71.05, 63.19),
        "DP 35": (31.73, 16.66, 95.72, 94.41, 69.46, 62.38),
        "DP 75": (78.41, 27.04, 95.39, 89.16, 66.83, 61.64),
        "w2v-u 2.0": (23.37, 15.71, 95.62, 94.65, 71.70, 61.74),
        "MFA": (12.33, 11.85),
    }.items()
}
