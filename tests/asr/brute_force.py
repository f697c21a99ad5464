"""The definitions, followed literally: every path of a lattice, every alignment of CTC."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

Arc = tuple[str, int, int]  # kind, s, t


def paths(num_symbols: int, num_frames: int, one_per_frame: bool) -> Iterator[list[Arc]]:
    """Every path from (0, 0) to (num_symbols, num_frames), as the arcs that it takes."""

    def walk(s: int, t: int) -> Iterator[list[Arc]]:
        if (s, t) == (num_symbols, num_frames):
            yield []
        if t < num_frames:
            yield from ([("blank", s, t), *rest] for rest in walk(s, t + 1))
            if s < num_symbols:
                rests = walk(s + 1, t + one_per_frame)
                yield from ([("symbol", s, t), *rest] for rest in rests)

    return walk(0, 0)


def enumerate_paths(
    symbol: Tensor, blank: Tensor, num_symbols: int, num_frames: int, one_per_frame: bool = False
) -> Tensor:
    """log of the sum over paths; symbol (S, T), blank (S+1, T) of one utterance."""
    arcs = {"symbol": symbol, "blank": blank}
    totals = [
        sum((arcs[kind][s, t] for kind, s, t in path), torch.zeros((), dtype=blank.dtype))
        for path in paths(num_symbols, num_frames, one_per_frame)
    ]
    return torch.stack(totals).logsumexp(0) if totals else torch.tensor(-math.inf)


def double_loop(
    symbol: Tensor, blank: Tensor, num_symbols: int, num_frames: int, one_per_frame: bool = False
) -> Tensor:
    """The same by the recursion of the definition, node by node, for autograd to differentiate."""
    alpha: dict[tuple[int, int], Tensor] = {(0, 0): torch.zeros((), dtype=blank.dtype)}
    for t in range(num_frames + 1):
        for s in range(num_symbols + 1):
            terms = []
            if (s, t - 1) in alpha:
                terms.append(alpha[s, t - 1] + blank[s, t - 1])
            before = (s - 1, t - 1 if one_per_frame else t)
            if before in alpha and before[1] < num_frames:
                terms.append(alpha[before] + symbol[s - 1, before[1]])
            if terms:
                alpha[s, t] = torch.stack(terms).logsumexp(0)
    return alpha[num_symbols, num_frames]


def best_ctc_words(emissions: Tensor, spellings: dict[str, list[int]], most: int) -> list[str]:
    """The word sequence (at most ``most`` words) with the best single alignment, blank 0."""
    alignments = best_alignments(emissions)
    sequences = [
        list(words)
        for length in range(most + 1)
        for words in itertools.product(spellings, repeat=length)
    ]

    def score(words: list[str]) -> float:
        return alignments.get(tuple(i for word in words for i in spellings[word]), -math.inf)

    return max(sequences, key=score)


def best_alignments(emissions: Tensor) -> dict[tuple[int, ...], float]:
    """For each sequence that (T, V) emissions can spell, the log-score of its best alignment."""
    best: dict[tuple[int, ...], float] = {}
    for alignment in itertools.product(range(emissions.shape[1]), repeat=len(emissions)):
        spelled = tuple(i for i, _ in itertools.groupby(alignment) if i != 0)
        score = float(sum(row[i] for row, i in zip(emissions, alignment, strict=True)))
        best[spelled] = max(score, best.get(spelled, -math.inf))
    return best
