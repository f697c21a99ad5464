"""Hidden states on disk: shared by all runs, rounded alike, and never those of another model."""

import torch

from fairseq_budget.upstream.hubconf import budget_upstream
from fairseq_budget.upstream.state_store import DiskStore, fingerprint
from tests.upstream.test_expert import make_waves
from tests.upstream.test_state_cache import heard

GIB = 1.0
KEYS = [bytes([n]) * 16 for n in range(4)]


def states(seed: int) -> torch.Tensor:
    return torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(seed))


def store(folder, name="model", max_bytes=1e6) -> DiskStore:
    return DiskStore(folder, name, max_bytes)


def test_what_one_process_puts_in_others_get_while_it_goes_on(tmp_path):
    ours, theirs = store(tmp_path), store(tmp_path)
    for number, key in enumerate(KEYS):
        put = ours.put(key, states(number))
        torch.testing.assert_close(put, states(number), atol=2e-3, rtol=1e-3)
        for reader in (ours, theirs, store(tmp_path)):
            assert torch.equal(reader.get(key), put)
    theirs.put(b"x" * 16, states(9))
    assert torch.equal(ours.get(b"x" * 16), theirs.get(b"x" * 16))
    assert store(tmp_path, "another").get(KEYS[0]) is None


def test_what_is_changed_cut_short_or_gone_is_computed_again(tmp_path):
    ours = store(tmp_path)
    for number in range(3):
        ours.put(KEYS[number], states(number))
    (file,) = tmp_path.glob("model/*.states")
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content[:-1])  # the first is changed, the last is cut short
    (index,) = tmp_path.glob("model/*.index")
    index.write_bytes(index.read_bytes() + b"half a line")
    found = [store(tmp_path).get(key) is None for key in KEYS]
    assert found == [True, False, True, True]
    file.unlink()
    assert ours.get(KEYS[1]) is None


def test_a_full_folder_says_so_once_and_keeps_what_it_has(tmp_path, caplog):
    ours = store(tmp_path, max_bytes=2 * 2 * 5 * 3 * 2)
    for number, key in enumerate(KEYS):
        assert torch.equal(ours.put(key, states(number)), states(number).half().float())
    assert [ours.get(key) is None for key in KEYS] == [False, False, True, True]
    assert caplog.text.count("takes no more hidden states") == 1


def test_numbers_too_large_for_halves_are_not_rounded_and_not_kept(tmp_path):
    large = states(0) * 1e6
    assert torch.equal(store(tmp_path).put(KEYS[0], large), large)
    assert store(tmp_path).get(KEYS[0]) is None


def test_a_second_run_computes_nothing_and_hears_the_same_in_any_batch(exported, tmp_path):
    options = {"cache_folder": str(tmp_path), "cache_gib": GIB}
    first, second = (budget_upstream(str(exported), options).eval() for _ in range(2))
    waves = make_waves()
    plain = budget_upstream(str(exported), {"cache_gib": 0}).eval()
    with torch.no_grad():
        new, expected = first(waves), plain(waves)
        for state, other in zip(new["hidden_states"], expected["hidden_states"], strict=True):
            torch.testing.assert_close(state, other, atol=5e-3, rtol=5e-3)
        for batch in (waves, waves[::-1], waves[2:3]):
            found = second(batch)["hidden_states"]
            for row, wave in enumerate(batch):
                alone = first([wave])["hidden_states"]
                length = alone[0].shape[1]
                assert all(
                    torch.equal(a[row, :length], b[0]) for a, b in zip(found, alone, strict=True)
                )
    assert heard(second, waves) == []


def test_the_fingerprint_is_of_the_weights(exported):
    one, other = (budget_upstream(str(exported)).encoder for _ in range(2))
    assert fingerprint(one) == fingerprint(other)
    next(other.parameters()).data[0] += 1e-3
    assert fingerprint(one) != fingerprint(other)
