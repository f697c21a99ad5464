"""Batches of whole utterances and the symbols to recognise in them, for fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fairseq_budget.corpus.column import Column
from fairseq_budget.corpus.corpus import Corpus
from fairseq_budget.data.audio_dataset import BudgetAudioDataset


class TranscribedDataset(BudgetAudioDataset):
    """Utterances of a corpus with one row of symbols (``T H E | D O G |``) for each.

    Nothing is cropped, batches are padded. Audio that cannot be read is an error: unlike in
    pre-training another utterance must not take its place, as its words would be counted.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: Column | Sequence[str],
        dictionary: Any,
        *,
        seed: int,
        min_sample_size: int = 0,
    ) -> None:
        super().__init__(
            corpus,
            seed=seed,
            max_sample_size=None,
            min_sample_size=min_sample_size,
            pad_audio=True,
        )
        self.rows = rows
        self.dictionary = dictionary  # fairseq's

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._read(index, self.num_tokens(index))

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """``target`` (B, S) int64, padded, and ``target_lengths`` (B,) beside the waveforms."""
        batch = super().collater(samples)
        if not batch:
            return batch
        del batch["net_input"]["noise_seed"]  # recognisers draw from their own
        symbols = [self.symbols(sample["id"]) for sample in samples]
        lengths = [len(row) for row in symbols]
        padding = self.dictionary.pad()
        return {
            **batch,
            "target": pad_sequence(symbols, batch_first=True, padding_value=padding),
            "target_lengths": torch.tensor(lengths),
            "ntokens": sum(lengths),
        }

    def symbols(self, index: int) -> Tensor:
        """The classes (S,) int64 of an utterance's symbols; those that training lacks: <unk>."""
        return torch.tensor(
            [self.dictionary.index(symbol) for symbol in self.rows[index].split()],
            dtype=torch.int64,
        )
