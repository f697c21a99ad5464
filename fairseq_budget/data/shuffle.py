"""A random order of n things that is computed place by place and never held in memory.

A Feistel network permutes the numbers of 2k bits ("How to Construct Pseudorandom Permutations from
Pseudorandom Functions", Luby and Rackoff 1988); a number that falls outside of the n things is
permuted again until it falls within ("Ciphers with Arbitrary Finite Domains", Black and Rogaway
2002, cycle walking), which takes fewer than four rounds of it on average.

On a handful of numbers a Feistel network is measurably no random permutation; so few things are
shuffled as a list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairseq_budget.nn.masking import seed_from

MAX_LISTED = 1024
"""So many things are shuffled as a list: exactly uniform, and done in microseconds."""

NUM_ROUNDS = 6
_GOLDEN = 0x9E3779B97F4A7C15  # keeps the keys of rounds apart, as splitmix64 its states
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # its hash


def shuffled(places: NDArray[np.int64], size: int, *keys: int) -> NDArray[np.int64]:
    """Numbers at these places of the random order of ``range(size)`` that the keys name.

    places (P,) within [0, size); equal keys give the same order, whatever the places asked for.
    """
    key = seed_from(*keys)
    if size <= MAX_LISTED:
        return np.random.default_rng(key).permutation(size)[places]
    half_bits = np.uint64(((size - 1).bit_length() + 1) // 2)
    out = _permute(places.astype(np.uint64), half_bits, key)
    while (outside := out >= size).any():
        out[outside] = _permute(out[outside], half_bits, key)
    return out.astype(np.int64)


def _permute(numbers: NDArray[np.uint64], half_bits: np.uint64, key: int) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = numbers >> half_bits, numbers & mask
    for number in range(NUM_ROUNDS):
        round_key = np.uint64((key + number * _GOLDEN) % (1 << 64))
        left, right = right, left ^ (_hash(right ^ round_key) & mask)
    return left << half_bits | right


def _hash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * factor
    return numbers ^ (numbers >> np.uint64(31))
