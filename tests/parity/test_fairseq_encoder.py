"""Our encoder with fairseq's weights gives fairseq's hidden states, on padded batches, too."""

import pytest
import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from tests.parity.shapes import CONV_LAYERS, MODES, SHAPE, padded_batch

pytestmark = pytest.mark.fairseq


def fairseq_model(mode: str, norm_first: bool):
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        extractor_mode=mode,
        layer_norm_first=norm_first,
        conv_feature_layers=CONV_LAYERS,
        quantize_targets=True,
        **SHAPE,
    )
    return Wav2Vec2Model(config).eval()


def with_weights_of(theirs, mode: str, norm_first: bool, **fields) -> SpeechEncoder:
    config = EncoderConfig(
        extractor_mode=mode, layer_norm_first=norm_first, conv_dim=32, **SHAPE, **fields
    )
    ours = SpeechEncoder(config).eval()
    known = ours.state_dict().keys()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if k in known})
    return ours


@torch.no_grad()
def states_of(theirs, wave, padding_mask=None) -> list[torch.Tensor]:
    """All layers' outputs (B, T, D)."""
    out = theirs.extract_features(wave, padding_mask=padding_mask, mask=False)
    layers = [layer.transpose(0, 1) for layer, *_ in out["layer_results"][:-1]]
    return [*layers, out["x"]]


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_hidden_states_equal_fairseqs_at_any_length(mode, norm_first):
    theirs = fairseq_model(mode, norm_first)
    ours = with_weights_of(theirs, mode, norm_first)
    for num_samples in (400, 719, 720, 9_777, 16_000):
        wave = 0.1 * torch.randn(2, num_samples)
        with torch.no_grad():
            assert_close(ours(wave).hidden_states[1:], states_of(theirs, wave))


@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_padded_utterances_are_fairseqs_alone_or_as_it_pads_them(mode, norm_first, mask_padding):
    """Its norm over time hears the padding: ours does if ``mask_padding`` is false."""
    theirs = fairseq_model(mode, norm_first)
    ours = with_weights_of(theirs, mode, norm_first, mask_padding=mask_padding)
    wave, lengths, padding = padded_batch([16_111, 9_777, 5_005])
    with torch.no_grad():
        out = ours(wave, lengths)
    together = states_of(theirs, wave, padding)
    for row, length in enumerate(lengths.tolist()):
        valid = ~out.padding_mask[row]
        alone = states_of(theirs, wave[row : row + 1, :length])
        expected = alone if mask_padding else [state[row : row + 1, valid] for state in together]
        assert_close([state[row : row + 1, valid] for state in out.hidden_states[1:]], expected)
