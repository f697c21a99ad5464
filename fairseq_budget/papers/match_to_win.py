"""Sets, batches, tasks and Table 1 of "Match to Win", and the rule that we read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LENGTHS_S = (1.0, 5.0, 10.0, 15.0)  # the paper's sets
BATCHES = (1, 2, 4, 8, 12)
PAPER_UPDATE_S = 5760.0  # 1.6 h, the effective batch of wav2vec 2.0 and of "Match to win"
RULE = "the shortest of 5, 10 and 15 s that is not below the mean utterance, else 15 s"
RECOMMENDED_S = LENGTHS_S[1:]  # 1 s was the worst of all for every task


class PaperTask(NamedTuple):
    """A row of Table 1: scores (%) of the sets of `LENGTHS_S`, frozen and unfrozen encoder."""

    task: str
    metric: str
    mean_s: float
    frozen: tuple[float, float, float, float]
    unfrozen: tuple[float, float, float, float]

    def best_s(self) -> float:
        """The set with the best score, frozen, which the paper takes for the direct indication."""
        best = max if self.metric == "accuracy" else min
        return LENGTHS_S[self.frozen.index(best(self.frozen))]


TABLE_1 = (
    PaperTask("KWS, 12 words", "accuracy", 0.98,
              (94.46, 95.97, 96.06, 94.83), (98.67, 99.08, 98.86, 98.51)),
    PaperTask("KWS, 35 words", "accuracy", 0.98,
              (93.08, 95.17, 94.38, 93.83), (97.84, 97.97, 97.87, 97.76)),
    PaperTask("SF", "CER", 2.73, (5.32, 1.99, 2.44, 3.21), (1.37, 0.36, 0.35, 0.24)),
    PaperTask("ER", "accuracy", 4.55,
              (57.40, 62.61, 60.12, 60.53), (68.80, 76.54, 72.71, 74.91)),
    PaperTask("SID", "accuracy", 8.3,
              (82.61, 87.52, 89.21, 88.11), (95.06, 96.18, 96.45, 95.52)),
    PaperTask("ASV", "EER", 8.3, (12.67, 7.72, 7.33, 7.07), (6.80, 5.95, 5.87, 5.64)),
    PaperTask("ASR", "WER", 12.69, (20.64, 11.47, 9.35, 8.72), (8.79, 6.99, 6.23, 6.20)),
)  # fmt: skip


def match_length(mean_s: float) -> float:
    """The length of pre-training sequences for utterances of this mean length, by `RULE`."""
    return next((s for s in RECOMMENDED_S if s >= mean_s), RECOMMENDED_S[-1])


@dataclass(frozen=True)
class Task:
    """A downstream task of the paper: its corpus' mean length, its batch, its model."""

    length_s: float
    batch: int
    head: str
    num_classes: int


TASKS = {
    "kws": Task(0.98, 32, "mean", 35),
    "sf": Task(2.73, 8, "ctc", 32),
    "er": Task(4.55, 4, "mean", 4),
    "sid": Task(8.3, 8, "xvector", 1211),
    "asv": Task(8.3, 8, "xvector", 1211),
    "asr": Task(12.69, 6, "ctc", 32),
}
