"""State dicts of torchaudio's models, built by torchaudio and saved as its users save them."""

from importlib.util import find_spec

import pytest
import torch

from fairseq_budget.cli.import_ import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.pretrained.torchaudio_checkpoint import import_torchaudio
from fairseq_budget.upstream.compat import load_torchaudio
from tests.own_models import noise

pytestmark = pytest.mark.s3prl  # which brings torchaudio

TINY = {
    "extractor_conv_layer_config": [(32, 10, 5), *[(32, 3, 2)] * 4, *[(32, 2, 2)] * 2],
    "encoder_embed_dim": 48, "encoder_projection_dropout": 0.0, "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4, "encoder_num_layers": 2, "encoder_num_heads": 3,
    "encoder_attention_dropout": 0.0, "encoder_ff_interm_features": 64,
    "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.0, "encoder_layer_drop": 0.0,
}  # fmt: skip
BASE = {"extractor_mode": "group_norm", "extractor_conv_bias": False}
LARGE = {"extractor_mode": "layer_norm", "extractor_conv_bias": True}


@pytest.fixture(scope="module")
def models():
    if find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    return load_torchaudio().models


def saved(path, model):
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_(1, 0.1)
    torch.save(model.state_dict(), path)
    return model.eval()


@torch.no_grad()
def assert_states_equal(checkpoint, model):
    wave = noise(4000)[0][None]
    ours = checkpoint.build_encoder()(wave).hidden_states[1:]
    theirs, _ = model.extract_features(wave)
    if checkpoint.encoder.layer_norm_first:  # theirs are without the final norm
        ours, theirs = ours[:-1], theirs[:-1]
    for state, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("aux_num_out", [None, 5], ids=["encoder", "recogniser"])
@pytest.mark.parametrize("fields", [BASE, LARGE], ids=["base", "large"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_state_dict_has_its_states_here(norm_first, fields, aux_num_out, models, tmp_path):
    model = models.wav2vec2_model(
        **TINY, **fields, encoder_layer_norm_first=norm_first, aux_num_out=aux_num_out
    )
    saved(tmp_path / "x.pt", model)
    words = ["x.pt", "ours", "--source", "torchaudio", "--heads", "3"]
    words[:2] = [str(tmp_path / name) for name in words[:2]]
    words.append("--norm-first" if norm_first else "--no-norm-first")
    assert main(words) == 0
    assert_states_equal(read_pretrained(tmp_path / "ours"), model)
    with torch.no_grad():  # with the final norm
        wave = noise(4000)[0][None]
        last = model.encoder(model.feature_extractor(wave, None)[0])
        ours = read_pretrained(tmp_path / "ours").build_encoder()(wave).last_hidden_state
    torch.testing.assert_close(ours, last, atol=1e-5, rtol=1e-5)


def test_a_model_in_pre_training_brings_its_mask_embedding(models, tmp_path):
    masks = dict.fromkeys(
        ("mask_prob", "mask_other", "mask_channel_prob", "mask_channel_other"), 0.0
    ) | dict.fromkeys(("mask_selection", "mask_channel_selection"), "static")
    masks |= dict.fromkeys(("mask_length", "mask_channel_length"), 10)
    masks |= dict.fromkeys(("mask_min_space", "mask_channel_min_space"), 1)
    masks |= dict.fromkeys(("no_mask_overlap", "no_mask_channel_overlap"), False)
    model = models.hubert_pretrain_model(
        **TINY, **BASE, **masks, encoder_layer_norm_first=False, num_classes=7, final_dim=16,
        skip_masked=False, skip_nomask=False, feature_grad_mult=None,
    )  # fmt: skip
    saved(tmp_path / "x.pt", model)
    found = import_torchaudio(tmp_path / "x.pt", num_heads=3, norm_first=False)
    assert found.model == "budget_hubert"
    assert torch.equal(found.state["encoder.mask_emb"], model.mask_generator.mask_embedding)
    assert_states_equal(found, model.wav2vec2)


def test_wavlm_is_refused_with_the_reason(models, tmp_path):
    model = models.wavlm_model(
        **TINY, **BASE, encoder_layer_norm_first=False, encoder_num_buckets=8,
        encoder_max_distance=16, aux_num_out=None,
    )  # fmt: skip
    saved(tmp_path / "x.pt", model)
    with pytest.raises(BudgetError, match=r"x.pt: this is WavLM .* gated relative positions"):
        import_torchaudio(tmp_path / "x.pt", num_heads=3, norm_first=False)


def test_what_the_file_does_not_tell_is_asked_for(tmp_path, capsys):
    words = [str(tmp_path / "x.pt"), str(tmp_path / "out"), "--source", "torchaudio"]
    for given in (["--heads", "3"], ["--norm-first"], []):
        assert main([*words, *given]) != 0
        assert "say --heads N and --norm-first or --no-norm-first" in capsys.readouterr().err
    assert main([*words[:2], "--heads", "3"]) != 0
    assert "with --source fairseq: its files say so themselves" in capsys.readouterr().err


def test_something_else_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1), "config": [1]}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"x.pt is not a state dict of torchaudio's"):
        import_torchaudio(tmp_path / "x.pt", num_heads=3, norm_first=False)
