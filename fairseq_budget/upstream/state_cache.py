"""Hidden states of waveforms that an unchanged encoder has heard before.

A downstream classifier hears its utterances again in every epoch, at every learning rate and seed,
and the encoder under it, which does not change, answers the same: s3prl spends most of its time on
that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import torch
from torch import Tensor, nn

from fairseq_budget.upstream.state_store import Store

Compute = Callable[[Sequence[Tensor]], list[Tensor]]


class StateCache:
    """Keeps the layers of each utterance in a store, of which `open_store` makes a new one.

    `encoder` is the module whose weights they are of: once these change, another is opened.
    """

    def __init__(self, encoder: nn.Module, open_store: Callable[[], Store]) -> None:
        self._encoder, self._open_store = encoder, open_store
        self.clear()

    @property
    def num_bytes(self) -> int:
        return self._store.num_bytes if self._store else 0

    def clear(self) -> None:
        self._store: Store | None = None
        self._version = self._weights_version()

    def _weights_version(self) -> int:
        """A number that grows with each change in place, as by an optimizer or a loaded state."""
        return sum(parameter._version for parameter in self._encoder.parameters())

    def hidden_states(
        self, wavs: Sequence[Tensor], lengths: Sequence[int], compute: Compute
    ) -> list[Tensor]:
        """What ``compute(wavs)`` returns, layers of (B, T, D), computed where it is not known.

        `lengths` are the frames of each utterance; what follows them in a row is its last frame.
        """
        if self._version != self._weights_version():
            self.clear()
        store = self._store = self._store or self._open_store()
        keys = [_key(wav) for wav in wavs]
        found = {key: store.get(key) for key in dict.fromkeys(keys)}
        new = [keys.index(key) for key, states in found.items() if states is None]
        for batch in [[index] for index in new] if store.alone else [new] * bool(new):
            computed = torch.stack(compute([wavs[index] for index in batch]))
            for row, index in enumerate(batch):
                own = computed[:, row, : lengths[index]].clone()
                found[keys[index]] = store.put(keys[index], own)
        rows = [states for key in keys if (states := found[key]) is not None]
        return _padded([row.to(wavs[0].device) for row in rows], max(lengths))


def _key(wav: Tensor) -> bytes:
    place = f"{wav.device.type} ".encode()  # the kinds of processors differ in the last digits
    return blake2b(place + wav.cpu().numpy().tobytes(), digest_size=16).digest()


def _padded(rows: Sequence[Tensor], length: int) -> list[Tensor]:
    """Rows (layers, T, D) of one length, their last frames held -> layers of (B, length, D)."""
    batch = rows[0].new_empty(rows[0].shape[0], len(rows), length, rows[0].shape[2])
    for index, row in enumerate(rows):
        batch[:, index, : row.shape[1]] = row
        batch[:, index, row.shape[1] :] = row[:, -1:]
    return list(batch)
