"""CTC's reach, against torch's loss and by hand."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_budget.asr.feasibility import ctc_feasibility, least_errors
from fairseq_budget.errors import BudgetError

EOS = 9


def samples(num_frames: int) -> int:
    return 400 + 320 * (num_frames - 1) if num_frames else 0


def ctc_is_infinite(num_frames: int, labels: tuple[int, ...]) -> bool:
    """Of labels with the end of sentence, as s3prl trains."""
    targets = torch.tensor([*labels, EOS])
    log_probs = torch.full((num_frames, 1, 10), 0.1).log()
    loss = F.ctc_loss(log_probs, targets[None], [num_frames], [len(targets)])
    return bool(loss.isinf())


@pytest.mark.parametrize("rate", [1, 2, 3])
def test_infeasible_is_where_torchs_ctc_loss_is_infinite(rate):
    generator = np.random.default_rng(0)
    for _ in range(60):
        num_frames = int(generator.integers(1, 14))
        labels = tuple(generator.integers(1, 4, size=generator.integers(1, 7)).tolist())
        row = ctc_feasibility([samples(num_frames)], [labels], rate=rate)
        assert row.infeasible == ctc_is_infinite(-(-num_frames // rate), labels)


def test_least_errors_are_those_of_the_best_string_that_fits():
    alphabet = "abcd"
    for num_labels, num_frames in itertools.product(range(1, 5), range(4)):
        for labels in itertools.product(alphabet[:2], repeat=num_labels):
            repeats = sum(a == b for a, b in itertools.pairwise(labels))
            found = least_errors(*(np.array([n]) for n in (num_labels, repeats, num_frames)))
            assert found == [best_distance("".join(labels), num_frames, alphabet)]


def best_distance(labels: str, num_frames: int, alphabet: str) -> int:
    """Edit distance of the nearest string that CTC can emit in ``num_frames`` frames."""
    strings = (
        string
        for length in range(num_frames + 1)
        for string in itertools.product(alphabet, repeat=length)
        if length + sum(a == b for a, b in itertools.pairwise(string)) <= num_frames
    )
    return min(edit_distance(labels, "".join(string)) for string in strings)


def edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above, row = row, [i]
        for j, y in enumerate(b):
            row.append(min(above[j] + (x != y), above[j + 1] + 1, row[-1] + 1))
    return row[-1]


def test_numbers_of_a_corpus_by_hand():
    # 10 frames for "hello": U 5 and EOS, R 1, so 7; at rate 2 there are 5, 2 too few
    sizes, labels = [samples(10), samples(40)], ["hello", "cat"]
    full = ctc_feasibility(sizes, labels, rate=1)
    half = ctc_feasibility(sizes, labels, rate=2)
    assert (full.infeasible, full.missing, full.least_error) == (0, 0, 0)
    assert (half.infeasible, half.missing) == (0.5, 2 / 10)
    assert half.least_error == 1 / 8  # "helo" needs 4 frames of 5
    assert half.frame_rate_hz == 25


def test_lower_rates_are_never_more_feasible():
    generator = np.random.default_rng(1)
    sizes = generator.integers(400, 60_000, size=50)
    labels = [generator.integers(0, 5, size=generator.integers(1, 60)).tolist() for _ in sizes]
    rows = [ctc_feasibility(sizes, labels, rate=rate) for rate in (1, 1.5, 2, 4, 8)]
    for key in ("infeasible", "missing", "least_error"):
        values = [getattr(row, key) for row in rows]
        assert values == sorted(values)
        assert values[0] < values[-1]


@pytest.mark.parametrize(
    ("sizes", "labels", "rate", "message"),
    [
        ([8000], ["a"], 0.5, "rate 0.5"),
        ([8000], ["a"], float("nan"), "rate nan"),
        ([8000], ["a", "b"], 1, "2 label sequences for 1 utterances"),
        ([8000], [""], 1, "no utterance has any label"),
    ],
)
def test_what_does_not_fit_is_an_error(sizes, labels, rate, message):
    with pytest.raises(BudgetError, match=message):
        ctc_feasibility(sizes, labels, rate=rate)
