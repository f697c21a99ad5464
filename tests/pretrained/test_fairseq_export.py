"""Stock fairseq loads our encoders by its own config, and computes what we compute."""

import logging
from types import SimpleNamespace

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.heads import ClusterHead
from fairseq_budget.nn.lengths import normalize_wave
from fairseq_budget.nn.quantizer import GumbelQuantizer
from fairseq_budget.pretrained.fairseq_checkpoint import import_fairseq
from fairseq_budget.pretrained.fairseq_export import save_fairseq
from fairseq_budget.sizes import TRANSFORMER_SIZES
from tests.foreign_models import states
from tests.own_models import noise, random_checkpoint, random_recognizer

pytestmark = pytest.mark.fairseq
VARIANTS = {
    "post-norm": {},
    "large": {"layer_norm_first": True, "extractor_mode": "layer_norm", "normalize": True},
    "no projection": {"conv_dim": 128, "conv_bias": True},
    "odd positions": {"conv_pos": 19, "conv_pos_groups": 4},
    "hides nothing": {"mask_embedding": False},
}


def loaded(folder, checkpoint):
    """fairseq's model and task; it refuses weights that are missing or left over."""
    from fairseq import checkpoint_utils

    save_fairseq(folder, checkpoint)
    logging.disable(logging.INFO)
    [model], _, task = checkpoint_utils.load_model_ensemble_and_task([str(folder / "model.pt")])
    logging.disable(logging.NOTSET)
    return model.eval(), task


def with_hubert_head(*num_classes):
    checkpoint = random_checkpoint("budget_hubert")
    head = ClusterHead(128, 64, num_classes, kind="cosine", temperature=0.2)
    checkpoint.state |= {f"head.{name}": value for name, value in head.state_dict().items()}
    checkpoint.model_config = {"num_classes": list(num_classes), "logit_temp": 0.2}
    return checkpoint


def with_wav2vec2_heads(vq_dim=64):
    checkpoint = random_checkpoint("budget_wav2vec2")
    heads = {
        "quantizer": GumbelQuantizer(64, num_vars=8, groups=2, vq_dim=vq_dim),
        "project_q": torch.nn.Linear(vq_dim, 64),
        "final_proj": torch.nn.Linear(128, 64),
    }
    checkpoint.state |= {
        f"{name}.{weight}": value
        for name, head in heads.items()
        for weight, value in head.state_dict().items()
    }
    return checkpoint


@torch.no_grad()
def assert_states_equal(model, checkpoint, wave):
    source = normalize_wave(wave, None) if checkpoint.encoder.normalize else wave
    ours = checkpoint.build_encoder()(wave).hidden_states[1:]
    for state, expected in zip(states(model, source), ours, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [s for s in TRANSFORMER_SIZES if s not in ("base", "large")])
def test_every_size_has_the_same_states(size, tmp_path):
    checkpoint = random_checkpoint("budget_tera", size=size, encoder_layers=1)
    assert_states_equal(loaded(tmp_path, checkpoint)[0], checkpoint, noise(2000)[0][None])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_norm_and_kernel_has_the_same_states(variant, tmp_path):
    checkpoint = random_checkpoint("budget_tera", **VARIANTS[variant])
    model, task = loaded(tmp_path, checkpoint)
    assert type(model).__module__ == "fairseq.models.hubert.hubert"
    assert task.cfg.normalize == checkpoint.encoder.normalize
    assert_states_equal(model, checkpoint, noise(4000)[0][None])


@pytest.mark.parametrize("num_classes", [(9,), (9, 12)])
def test_hubert_has_its_head_and_classes(num_classes, tmp_path):
    checkpoint = with_hubert_head(*num_classes)
    model, task = loaded(tmp_path, checkpoint)
    assert model.num_classes == list(num_classes)
    assert torch.equal(model.label_embs_concat, checkpoint.state["head.label_embs_concat"])
    assert torch.equal(model.final_proj.weight, checkpoint.state["head.final_proj.weight"])
    assert task.dictionaries[0][:6] == ["<s>", "<pad>", "</s>", "<unk>", "0", "1"]
    assert model.logit_temp == 0.2


@pytest.mark.parametrize("vq_dim", [64, 32])
def test_wav2vec2_has_its_quantizer(vq_dim, tmp_path):
    checkpoint = with_wav2vec2_heads(vq_dim)
    model, _ = loaded(tmp_path, checkpoint)
    assert (model.quantizer.num_vars, model.quantizer.groups) == (8, 2)
    assert torch.equal(model.quantizer.vars, checkpoint.state["quantizer.vars"])
    assert torch.equal(model.project_q.weight, checkpoint.state["project_q.weight"])
    assert_states_equal(model, checkpoint, noise(2000)[0][None])


def test_heads_that_are_not_fairseqs_are_zeros(tmp_path):
    """A linear head predicts clusters by itself; letters are no clusters."""
    linear = random_checkpoint("budget_hubert")
    linear.state["head.final_proj.weight"] = torch.ones(9, 128)
    for checkpoint in (linear, random_recognizer(), random_checkpoint("budget_wav2vec2")):
        model, task = loaded(tmp_path, checkpoint)
        assert task.dictionaries == [None]
        assert not hasattr(model, "label_embs_concat")
        assert not model.final_proj.weight.any()


def test_what_hides_nothing_gets_an_embedding_of_zeros(tmp_path):
    model, _ = loaded(tmp_path, random_checkpoint(mask_embedding=False))
    assert not model.mask_emb.any()


def test_fairseqs_fine_tuning_begins_with_it(tmp_path):
    from fairseq.data.dictionary import Dictionary
    from fairseq.models.hubert.hubert_asr import HubertCtc, HubertCtcConfig
    from omegaconf import OmegaConf

    checkpoint = with_hubert_head(9)
    save_fairseq(tmp_path, checkpoint)
    paths = {"w2v_path": str(tmp_path / "model.pt"), "data": str(tmp_path)}
    fields = OmegaConf.structured(HubertCtcConfig(**paths, normalize=False, mask_prob=0.25))
    OmegaConf.set_struct(fields, False)
    fields.autoregressive = False  # which some versions of fairseq ask for
    task = SimpleNamespace(target_dictionary=Dictionary())
    model = HubertCtc.build_model(fields, task).eval()
    assert model.w2v_encoder.w2v_model.mask_prob == 0.25
    assert_states_equal(model, checkpoint, noise(2000)[0][None])


def test_it_comes_back_bit_for_bit(tmp_path):
    for checkpoint in (with_hubert_head(9, 9), with_wav2vec2_heads()):
        save_fairseq(tmp_path, checkpoint)
        found = import_fairseq(tmp_path / "model.pt")
        assert found.model == checkpoint.model
        assert found.state.keys() == checkpoint.state.keys()
        assert all(torch.equal(found.state[k], value) for k, value in checkpoint.state.items())


REFUSED = {
    "size=zipformer_tiny.*: for fairseq": {"size": "zipformer_tiny"},
    "subsample=average: for fairseq expected": {"subsample": "average"},
    "frontend=logmel: fairseq has no such front-end": {"frontend": "logmel"},
    "have a LayerNorm before the projection": {"feature_layer_norm": False},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_fairseq_cannot_express_is_refused_and_nothing_written(reason, tmp_path):
    with pytest.raises(BudgetError, match=reason):
        save_fairseq(tmp_path / "out", random_checkpoint(**REFUSED[reason]))
    assert not (tmp_path / "out").exists()
