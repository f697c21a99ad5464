"""Our HuBERT and wav2vec 2.0 with fairseq's weights give fairseq's states and losses."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

pytestmark = pytest.mark.fairseq

DIMENSIONS = {
    "encoder_layers": 3,
    "encoder_embed_dim": 96,
    "encoder_ffn_embed_dim": 160,
    "encoder_attention_heads": 4,
    "final_dim": 32,
}
MODES = [
    pytest.param(mode, norm_first, id=f"{mode}-{'pre' if norm_first else 'post'}-norm")
    for mode in ("default", "layer_norm")
    for norm_first in (False, True)
]


def batch() -> dict:
    """Two unpadded utterances with as many masked frames in each, as fairseq needs them."""
    torch.manual_seed(1)
    mask = torch.zeros(2, 49, dtype=torch.bool)
    mask[0, 5:25] = True
    mask[1, 20:40] = True
    return {
        "source": 0.1 * torch.randn(2, 16000),
        "mask_indices": mask,
        "masked": mask.flatten().nonzero()[:, 0],
    }


def load(ours, theirs, renamed: dict[str, str]) -> None:
    """fairseq's weights by name; the encoder's under ``encoder.``, some heads under ``head.``."""
    known = ours.state_dict().keys()
    state = {}
    for name, value in theirs.state_dict().items():
        for candidate in (renamed.get(name), f"encoder.{name}", name):
            if candidate in known:
                state[candidate] = value
                break
    ours.load_state_dict(state)


@pytest.mark.parametrize("classes", [[24], [24, 13]])
@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_hubert_loss_and_states_equal_fairseqs(mode, norm_first, classes, monkeypatch):
    """With two label sets, too, each with a projection and embeddings of its own."""
    from fairseq.models.hubert import hubert

    from fairseq_budget.models.hubert import BudgetHubertConfig, BudgetHubertModel

    inputs = batch()
    labels = [torch.randint(4, num_classes, (2, 49)) for num_classes in classes]
    shape = {"extractor_mode": mode, "layer_norm_first": norm_first, **DIMENSIONS}
    torch.manual_seed(0)
    theirs = hubert.HubertModel(
        hubert.HubertConfig(label_rate=50, untie_final_proj=True, **shape),
        SimpleNamespace(sample_rate=16000),
        [range(num_classes) for num_classes in classes],
    ).eval()
    ours = BudgetHubertModel(BudgetHubertConfig(seed=1, num_classes=classes, **shape)).eval()
    renamed = {name: f"head.{name}" for name in ours.head.state_dict()}
    load(ours, theirs, renamed)
    mask = inputs["mask_indices"].numpy()
    monkeypatch.setattr(hubert, "compute_mask_indices", lambda *a, **k: mask)
    with torch.no_grad():
        expected = theirs(
            inputs["source"], labels, torch.zeros(2, 16000, dtype=torch.bool), mask=True
        )
        out = ours(**inputs, labels=labels)
    loss = sum(
        F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="sum")
        for logits in expected["logit_m_list"]
    )
    from fairseq_budget.criterions.masked_prediction import BudgetMaskedPredictionConfig as Config
    from fairseq_budget.criterions.masked_prediction import BudgetMaskedPredictionCriterion

    ours_loss, _ = BudgetMaskedPredictionCriterion(Config(), None).objective(out)
    torch.testing.assert_close(ours_loss.sum, loss, rtol=1e-5, atol=1e-5)
    assert ours_loss.count == len(expected["logit_m_list"][0])
    total, count = out["feature_penalty"]
    torch.testing.assert_close(total / count, expected["features_pen"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_wav2vec2_loss_equals_fairseqs_for_the_same_masks_and_negatives(
    mode, norm_first, monkeypatch
):
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    from fairseq_budget.losses.contrastive import info_nce, sample_negatives
    from fairseq_budget.models.wav2vec2 import BudgetWav2Vec2Config, BudgetWav2Vec2Model

    inputs = batch()
    shape = {"extractor_mode": mode, "layer_norm_first": norm_first, **DIMENSIONS}
    torch.manual_seed(0)
    theirs = Wav2Vec2Model(
        Wav2Vec2Config(quantize_targets=True, latent_vars=20, num_negatives=10, **shape)
    ).eval()
    ours = BudgetWav2Vec2Model(
        BudgetWav2Vec2Config(seed=1, latent_vars=20, num_negatives=10, **shape)
    ).eval()
    load(ours, theirs, {})
    rows = inputs["masked"] // 49
    negatives = sample_negatives(inputs["mask_indices"].sum(1), rows, 10)

    def fixed_negatives(y, num, padding_count=None):
        flat = y.reshape(-1, y.shape[-1])
        return flat[negatives.T].view(10, 2, num, -1), negatives

    monkeypatch.setattr(theirs, "sample_negatives", fixed_negatives)
    with torch.no_grad():
        expected = theirs(inputs["source"], None, mask_indices=inputs["mask_indices"])
        out = ours(**inputs, negatives=negatives)
    logits = theirs.get_logits(expected)
    loss = F.cross_entropy(logits, theirs.get_targets(None, expected), reduction="sum")
    torch.testing.assert_close(info_nce(out["logits"]).sum, loss, rtol=1e-5, atol=1e-5)
    diversity, penalty = theirs.get_extra_losses(expected)
    torch.testing.assert_close(out["quantized"].diversity_loss(), diversity, rtol=1e-5, atol=1e-6)
    total, count = out["feature_penalty"]
    torch.testing.assert_close(total / count, penalty, rtol=1e-5, atol=1e-6)
