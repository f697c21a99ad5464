"""Windows that a path can climb, and that hold what is probable."""

import pytest
import torch

from fairseq_budget.asr.lattice import Lattice, lattice
from fairseq_budget.asr.pruning import window_starts, windows

NUM_FRAMES, NUM_SYMBOLS = torch.tensor([20, 13, 9, 20]), torch.tensor([9, 7, 1, 0])
ENDS = {"num_frames": NUM_FRAMES, "num_symbols": NUM_SYMBOLS}


def random_lattice(seed: int = 0, sharpness: float = 4.0) -> Lattice:
    generator = torch.Generator().manual_seed(seed)
    blank = -sharpness * torch.rand(4, 10, 20, generator=generator).double()
    symbol = -sharpness * torch.rand(4, 9, 20, generator=generator).double()
    return lattice(symbol, blank, **ENDS)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("one_per_frame", [False, True])
@pytest.mark.parametrize("prune_range", [2, 3, 5, 10])
def test_starts_are_a_staircase_from_the_first_to_the_last_window(prune_range, one_per_frame, seed):
    options = {"prune_range": prune_range, "one_per_frame": one_per_frame}
    starts = window_starts(random_lattice(seed), **ENDS, **options)
    rises = starts[:, 1:] - starts[:, :-1]
    assert (starts[:, 0] == 0).all()
    assert (rises >= 0).all()
    assert (rises <= (1 if one_per_frame else prune_range - 1)).all()
    last = starts.gather(1, NUM_FRAMES.unsqueeze(1) - 1).squeeze(1)
    assert torch.equal(last, (NUM_SYMBOLS + 1 - prune_range).clamp(min=0))


def test_a_certain_path_lies_inside_its_windows():
    """One symbol at each even frame, in a lattice where every other arc is improbable."""
    blank, symbol = torch.full((1, 10, 20), -20.0), torch.full((1, 9, 20), -20.0)
    position = torch.arange(20) // 2
    blank[0, position, torch.arange(20)] = 0
    symbol[0, torch.arange(9), 2 * torch.arange(9) + 1] = 0
    ends = {"num_frames": torch.tensor([20]), "num_symbols": torch.tensor([9])}
    starts = window_starts(lattice(symbol, blank, **ends), **ends, prune_range=3)
    kept = windows(starts, 3)[0]
    assert (kept == position.unsqueeze(1)).any(1).all()


@pytest.mark.parametrize("row", range(4))
def test_windows_do_not_depend_on_batch_mates(row):
    simple = random_lattice()
    together = window_starts(simple, **ENDS, prune_range=3)
    t, s = int(NUM_FRAMES[row]), int(NUM_SYMBOLS[row])
    alone = Lattice(
        simple.log_prob[row : row + 1],
        simple.symbol_occupation[row : row + 1, :s, :t],
        simple.blank_occupation[row : row + 1, : s + 1, :t],
    )
    ends = {"num_frames": NUM_FRAMES[row : row + 1], "num_symbols": NUM_SYMBOLS[row : row + 1]}
    starts = window_starts(alone, **ends, prune_range=min(3, s + 1))
    assert torch.equal(starts[0], together[row, :t])
