"""Our encoder with fairseq's weights gives fairseq's hidden states."""

import pytest
import torch

from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder

pytestmark = pytest.mark.fairseq


def fairseq_model(mode: str, norm_first: bool):
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    return Wav2Vec2Model(
        Wav2Vec2Config(
            extractor_mode=mode,
            layer_norm_first=norm_first,
            encoder_layers=3,
            encoder_embed_dim=96,
            encoder_ffn_embed_dim=160,
            encoder_attention_heads=4,
            final_dim=32,
            quantize_targets=True,
        )
    ).eval()


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_hidden_states_equal_fairseqs(mode, norm_first):
    theirs = fairseq_model(mode, norm_first)
    ours = SpeechEncoder(
        EncoderConfig(
            size="slim",
            encoder_layers=3,
            encoder_embed_dim=96,
            encoder_ffn_embed_dim=160,
            encoder_attention_heads=4,
            extractor_mode=mode,
            layer_norm_first=norm_first,
        )
    ).eval()
    known = ours.state_dict().keys()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if k in known})
    wave = 0.1 * torch.randn(2, 16000)
    with torch.no_grad():
        expected = theirs.extract_features(wave, padding_mask=None, mask=False)
        states = ours(wave).hidden_states
    torch.testing.assert_close(states[-1], expected["x"], atol=1e-5, rtol=1e-5)
    for state, (layer, *_) in zip(states[1:-1], expected["layer_results"][:-1], strict=True):
        torch.testing.assert_close(state, layer.transpose(0, 1), atol=1e-5, rtol=1e-5)
