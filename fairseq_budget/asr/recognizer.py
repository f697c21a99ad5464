"""A fine-tuned checkpoint as a recogniser: waveforms in, words out; without fairseq."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairseq_budget.asr.beam import LexiconBeamSearch
from fairseq_budget.asr.ctc import beam_ctc, greedy_ctc
from fairseq_budget.asr.decoding import beam_search, greedy_search
from fairseq_budget.asr.predictor import TransducerHead
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import Pretrained
from fairseq_budget.pretrained.vocabulary import CTC, CTC_HEAD, TRANSDUCER, Vocabulary
from fairseq_budget.text.wer import spell


class Recognizer:
    """The encoder and head of a ``budget_ctc`` or ``budget_transducer`` checkpoint.

    vocabulary: what its classes stand for, where the checkpoint is too old to say so itself (then
    its own counts). BudgetError when the checkpoint is another model, or its classes are others.
    """

    def __init__(
        self, checkpoint: Pretrained, vocabulary: Vocabulary | None = None, *, device: str = "cpu"
    ) -> None:
        self.vocabulary, self.device = _vocabulary(checkpoint, vocabulary), device
        self.encoder = checkpoint.build_encoder().to(device)
        self.head = _build_head(checkpoint, self.vocabulary).to(device)

    @torch.inference_mode()
    def __call__(
        self,
        source: Tensor,
        num_samples: Tensor,
        *,
        beam: int = 1,
        lexicon: LexiconBeamSearch | None = None,
    ) -> list[str]:
        """source (B, S) at 16 kHz, num_samples (B,) -> the words of each utterance.

        ``beam`` above 1 searches by so many hypotheses; ``lexicon`` decodes CTC's letters.
        """
        out = self.encoder(source.to(self.device), num_samples.to(self.device))
        num_frames = (~out.output_padding).sum(1)
        if isinstance(self.head, TransducerHead):
            if beam > 1:
                return self._texts(beam_search(self.head, out.output, num_frames, beam=beam))
            return self._texts(greedy_search(self.head, out.output, num_frames))
        logits = self.head(out.output)
        if lexicon:
            return lexicon(logits, num_frames)
        if beam > 1:
            blank = self.vocabulary.blank
            return self._texts(beam_ctc(logits, num_frames, beam=beam, blank=blank))
        return self._texts(greedy_ctc(logits, num_frames, self.vocabulary.blank))

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [spell(self.vocabulary.symbols[symbol] for symbol in row) for row in rows]


def _vocabulary(checkpoint: Pretrained, given: Vocabulary | None) -> Vocabulary:
    if checkpoint.model not in (CTC, TRANSDUCER):
        raise BudgetError(
            f"a {checkpoint.model} checkpoint recognises nothing: expected {CTC} or {TRANSDUCER}"
        )
    found = checkpoint.vocabulary or given
    if found is None:
        raise BudgetError(
            "this checkpoint was written before they held their dictionary: give the folder of its "
            "training, with dict.ltr.txt (budget-asr decode --data)"
        )
    return found


def _build_head(checkpoint: Pretrained, vocabulary: Vocabulary) -> nn.Module:
    num_symbols = len(vocabulary.symbols)
    dim = checkpoint.encoder.resolved().output_dim
    head: nn.Module
    if checkpoint.model == CTC:
        prefix, head = CTC_HEAD, nn.Linear(dim, num_symbols)
    else:
        widths = {name: checkpoint.model_config[name] for name in ("decoder_dim", "joiner_dim")}
        prefix, head = "head.", TransducerHead(dim, num_symbols, **widths)
        head.blank = vocabulary.blank
    state = {k.removeprefix(prefix): v for k, v in checkpoint.state.items() if k.startswith(prefix)}
    try:
        head.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        raise BudgetError(
            f"the checkpoint's head does not fit a dictionary of {num_symbols} symbols: give the "
            "dictionary of its training"
        ) from error
    return head.eval()
