"""The worth of labels: how evenly clusters are used, and how well they agree with phones.

Phone purity, cluster purity and phone-normalised mutual information are those of "HuBERT",
section 4.3: with p(y, z) the share of frames of phone y in cluster z,

    phone purity    sum_z max_y p(y, z)      right answers when each cluster stands for one phone
    cluster purity  sum_y max_z p(y, z)      falls as clusters become more
    PNMI            I(y; z) / H(y)           the share of the phones' uncertainty that z removes
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.corpus.labels import Labels, entropy_bits
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import frame_centres
from fairseq_budget.text.alignments import NO_PHONE, Alignments

DOMINANT = 0.5  # share of one cluster above which there is little left to predict
FEW_USED = 0.5  # perplexity, as a share of the clusters, below which most are hardly used


class Counts:
    """Running counts over utterances, from which `summary` is computed; memory K x phones."""

    def __init__(self, num_clusters: int, rate: int, phones: list[str] | None = None) -> None:
        self.rate = rate
        self.frames = np.zeros(num_clusters, dtype=np.int64)
        self.num_runs = self.num_utterances = self.num_short = 0
        self.joint = np.zeros((len(phones), num_clusters), np.int64) if phones else None

    def add(self, ids: NDArray[np.int64], phones: NDArray[np.int64] | None = None) -> None:
        """Count one utterance: `ids` (T,), and the `phones` (T,) or NO_PHONE of its frames."""
        self.num_utterances += 1
        self.num_short += len(ids) == 0
        self.frames += np.bincount(ids, minlength=len(self.frames))
        self.num_runs += int((np.diff(ids) != 0).sum()) + (len(ids) > 0)
        if self.joint is not None and phones is not None:
            known = phones != NO_PHONE
            np.add.at(self.joint, (phones[known], ids[known]), 1)

    def summary(self) -> dict[str, float]:
        """All figures; those of phones only if there are any. Entropies are in bits."""
        total = int(self.frames.sum())
        entropy = entropy_bits(self.frames)
        summary = {
            "num_utterances": self.num_utterances,
            "num_utterances_without_frames": int(self.num_short),
            "num_frames": total,
            "hours": total / self.rate / 3600,
            "num_clusters": len(self.frames),
            "num_empty_clusters": int((self.frames == 0).sum()),
            "largest_cluster": float(self.frames.max() / max(total, 1)),
            "entropy_bits": entropy,
            "perplexity": 2.0**entropy,
            "mean_run_frames": total / max(self.num_runs, 1),
            "mean_run_ms": 1000 * total / max(self.num_runs, 1) / self.rate,
        }
        return summary | (phone_figures(self.joint) if self.joint is not None else {})


def phone_figures(joint: NDArray[np.int64]) -> dict[str, float]:
    """Purities and PNMI of a table of frames, phones (rows) by clusters (columns)."""
    total = int(joint.sum())
    if total == 0:
        raise BudgetError(
            "none of the utterances is in the alignments; their ids must be the names of the audio "
            "files, without folder and extension"
        )
    phone_entropy = entropy_bits(joint.sum(axis=1))
    information = phone_entropy + entropy_bits(joint.sum(axis=0)) - entropy_bits(joint.ravel())
    return {
        "num_frames_with_phone": total,
        "phone_purity": float(joint.max(axis=0).sum() / total),
        "cluster_purity": float(joint.max(axis=1).sum() / total),
        "pnmi": information / phone_entropy if phone_entropy else 0.0,
        "largest_phone": float(joint.sum(axis=1).max() / total),
    }


def count_split(
    labels: Labels, corpus: Corpus, indices: Iterable[int], alignments: Alignments | None = None
) -> Counts:
    """Check (as `Labels.check_line` does) and count these utterances of a split."""
    counts = Counts(labels.num_clusters, labels.rate, alignments.phones if alignments else None)
    for index in indices:
        ids = labels.check_line(index, int(corpus.sizes[index]))
        phones = None
        if alignments is not None:
            centres = frame_centres(len(ids), labels.rate)
            phones = alignments.phones_at(corpus.utterance(index), centres)
        counts.add(ids, phones)
    return counts


def verdict(summary: dict[str, float]) -> list[str]:
    """Faults of labels of such figures, with a cure; an empty list if there are none."""
    findings = []
    if empty := int(summary["num_empty_clusters"]):
        findings.append(
            f"{empty} of {summary['num_clusters']:.0f} clusters are empty: harmless if the split "
            "is small, otherwise fit on a larger sample or with fewer --clusters"
        )
    if summary["largest_cluster"] > DOMINANT:
        findings.append(
            f"one cluster holds {summary['largest_cluster']:.0%} of the frames, so there is little "
            "to predict: is the audio silent, or the checkpoint collapsed?"
        )
    elif summary["perplexity"] < FEW_USED * summary["num_clusters"]:
        findings.append(
            f"the clusters are used as unevenly as {summary['perplexity']:.0f} equal ones of "
            f"{summary['num_clusters']:.0f} would be: fewer --clusters would say as much"
        )
    if "phone_purity" in summary and summary["phone_purity"] < 1.2 * summary["largest_phone"]:
        findings.append(
            f"phone purity {summary['phone_purity']:.2f} is hardly above the "
            f"{summary['largest_phone']:.2f} of always naming the most frequent phone: the "
            "alignments may be those of other audio, or the features say little"
        )
    return findings
