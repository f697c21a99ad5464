"""Features: the numbers of simple_kmeans, whatever the batch and the length."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from fairseq_budget.audio.mfcc import MFCC
from fairseq_budget.errors import BudgetError
from fairseq_budget.labels import encoder_layers
from fairseq_budget.labels.encoder_layers import LayerExtractor, LayersExtractor, hash_encoder
from fairseq_budget.labels.features import Feature, MfccExtractor
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, save_pretrained
from tests.synthetic import tone

LENGTHS = [9000, 399, 400, 16000, 0, 5521, 32000]


def encoder(size: str = "tiny", **fields) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(EncoderConfig(size=size, **fields)).eval()


@pytest.fixture
def waves():
    return [tone(length, seed) for seed, length in enumerate(LENGTHS)]


def test_mfcc_are_those_of_simple_kmeans(waves):
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio, the oracle, is not installed")
    from fairseq_budget.upstream.compat import load_torchaudio

    torchaudio = load_torchaudio()
    importlib.import_module("torchaudio.compliance.kaldi")
    for wave, ours in zip(waves, MfccExtractor()(waves), strict=True):
        if len(wave) >= 400:
            mfcc = torchaudio.compliance.kaldi.mfcc(
                torch.from_numpy(wave)[None], sample_frequency=16000, use_energy=False
            ).T
            deltas = torchaudio.functional.compute_deltas(mfcc)
            both = torch.cat([mfcc, deltas, torchaudio.functional.compute_deltas(deltas)]).T
            np.testing.assert_allclose(ours, both, atol=1e-3)


def test_neighbours_do_not_change_mfcc(waves):
    for wave, ours in zip(waves, MfccExtractor()(waves), strict=True):
        np.testing.assert_allclose(ours, MfccExtractor()([wave])[0], atol=1e-4)


def test_mfcc_are_those_that_tera_predicts(waves):
    for wave, ours in zip(waves, MfccExtractor()(waves), strict=True):
        theirs = MFCC()(torch.from_numpy(wave)[None])[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_the_number_of_frames_is_known_beforehand(waves, tmp_path):
    lengths = np.array(LENGTHS)
    for feature, extractor in (
        (Feature(), MfccExtractor()),
        (Feature(tmp_path, 1), LayerExtractor(encoder(), 1)),
    ):
        counts = [len(frames) for frames in extractor(waves)]
        assert counts == feature.num_frames(lengths).tolist()
        assert all(frames.shape[1] == extractor.dim for frames in extractor(waves))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_layer_is_the_hidden_state_of_that_number(waves, number):
    states = encoder()(torch.from_numpy(waves[0])[None]).hidden_states
    ours = LayerExtractor(encoder(), number)(waves)[0]
    np.testing.assert_allclose(ours, states[number][0].detach(), atol=1e-6)


def test_a_layer_of_a_zipformer_is_the_state_of_its_stack(waves):
    states = encoder(size="zipformer_tiny")(torch.from_numpy(waves[0])[None]).hidden_states
    extractor = LayerExtractor(encoder(size="zipformer_tiny"), 2)
    ours = extractor(waves)[0]
    assert ours.shape[1] == extractor.dim == 64  # the widest of the first two
    np.testing.assert_allclose(ours, states[2][0, :, :64].detach(), atol=1e-6)


def test_the_last_layer_of_a_pre_norm_model_comes_without_the_final_norm(waves):
    fields = {"layer_norm_first": True, "encoder_layers": 2}
    whole = encoder(**fields)
    ours = LayerExtractor(encoder(**fields), 2)(waves)[0]
    expected = whole(torch.from_numpy(waves[0])[None]).hidden_states[2][0].detach()
    normed = whole.encoder.layer_norm(torch.from_numpy(ours)).detach()
    np.testing.assert_allclose(normed, expected, atol=1e-5)
    assert not np.allclose(ours, expected, atol=1e-2)


KINDS = {
    "plain": {},
    "normalised": {"normalize": True},
    "shortened": {"subsample": "average", "upsample": True},
    "a Zipformer": {"size": "zipformer_tiny", "encoder_layers": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_lie_side_by_side_and_batches_do_not_change_them(waves, kind):
    fields = {"encoder_layers": 3, **KINDS[kind]}
    together = LayersExtractor(encoder(**fields), (0, 2), batch_samples=100_000)(waves)
    for layer, place in ((0, 0), (2, 1)):
        alone = LayersExtractor(encoder(**fields), (layer, 2))
        for wave, both in zip(waves, together, strict=True):
            width = both.shape[1] // 2
            expected = alone([wave])[0][:, :width]
            np.testing.assert_allclose(both[:, place * width :][:, :width], expected, atol=1e-4)


def test_where_padding_would_be_heard_each_wave_passes_alone(waves):
    fields = {"mask_padding": False}
    together = LayersExtractor(encoder(**fields), (1,), batch_samples=100_000)(waves)
    for wave, ours in zip(waves, together, strict=True):
        alone = LayersExtractor(encoder(**fields), (1,))([wave])[0]
        np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_layer_that_is_not_there_is_an_error(layer):
    with pytest.raises(BudgetError, match=rf"--layer {layer}: .* from 1 .* to 3"):
        LayerExtractor(encoder(), layer)


def test_a_model_that_shortens_its_sequences_has_no_features():
    with pytest.raises(BudgetError, match=r"subsample=average.* no frame every 20 ms"):
        LayerExtractor(encoder(subsample="average", subsample_rate=2), 1)


def test_a_long_wave_is_normalised_as_a_whole(monkeypatch):
    monkeypatch.setattr(encoder_layers, "CHUNK_FRAMES", 10)
    wave = np.concatenate([tone(6000, 1), 0.1 * tone(6000, 2)])
    fields = {"extractor_mode": "layer_norm"}
    ours = LayerExtractor(encoder(normalize=True, **fields), 1)([wave])[0]
    centred = wave - wave.mean()
    by_hand = (centred / np.sqrt(wave.var() + 1e-5)).astype(np.float32)
    theirs = LayerExtractor(encoder(**fields), 1)([by_hand])[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_the_hash_of_a_teacher_tells_weights_and_dimensions_apart():
    first, second = encoder(), encoder()
    assert hash_encoder(first) == hash_encoder(second)
    torch.nn.init.zeros_(second.mask_emb)
    assert hash_encoder(first) != hash_encoder(second)
    assert hash_encoder(first) != hash_encoder(encoder(normalize=True))


def test_a_checkpoint_that_was_overwritten_in_the_meantime_is_an_error(tmp_path):
    config = EncoderConfig(size="tiny", encoder_layers=1)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path, Pretrained("budget_tera", config, {}, state))
    feature = Feature(tmp_path, 1)
    checked = replace(feature, teacher_sha256=feature.build().teacher_sha256)
    checked.build()
    state["encoder.mask_emb"] += 1
    save_pretrained(tmp_path, Pretrained("budget_tera", config, {}, state))
    with pytest.raises(BudgetError, match="overwritten in the meantime"):
        checked.build()
