"""Our HuBERT and wav2vec 2.0 with fairseq's weights give fairseq's losses and gradients.

In training mode, without dropout; for utterances of one odd length, and padded as fairseq does
it, where the padding enters norm and penalty (``mask_padding=False``). Masks, negatives and Gumbel
noise are given to both.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairseq_budget.frames import num_frames
from tests.parity.shapes import CONV_LAYERS, MODES, SHAPE, padded_batch

pytestmark = pytest.mark.fairseq

NO_DROPOUT = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "dropout_input": 0.0,
    "encoder_layerdrop": 0.0,
}
COMMON = {**SHAPE, **NO_DROPOUT, "feature_grad_mult": 0.1}
THEIRS = {**COMMON, "conv_feature_layers": CONV_LAYERS, "dropout_features": 0.0}
OURS = {**COMMON, "conv_dim": 32, "mask_padding": False, "seed": 1}
LENGTHS = {"16000": [16_000, 16_000], "odd": [12_901, 12_901], "720": [720, 720]}


def batch(lengths: list[int]) -> tuple[dict, Tensor]:
    """Our net_input, and fairseq's padding mask; as many masked frames in each, as it needs."""
    source, num_samples, padding = padded_batch(lengths)
    frames = num_frames(num_samples)
    mask = torch.zeros(len(lengths), int(frames.max()), dtype=torch.bool)
    count = int(frames.min()) * 2 // 5 + 1
    for row, length in enumerate(frames.tolist()):
        start = (length - count) * row // max(1, len(lengths) - 1)
        mask[row, start : start + count] = True
    net_input = {
        "source": source,
        "mask_indices": mask,
        "masked": mask.flatten().nonzero()[:, 0],
        "num_samples": num_samples if padding.any() else None,
    }
    return net_input, padding


def load(ours: nn.Module, theirs: nn.Module) -> dict[str, str]:
    """fairseq's weights by name; returns our name of each of its parameters."""
    known = ours.state_dict().keys()
    candidates = {
        name: (f"encoder.{name}", f"head.{name}", name) for name, _ in theirs.named_parameters()
    }
    names = {name: next(c for c in own if c in known) for name, own in candidates.items()}
    ours.load_state_dict({names[name]: p.detach() for name, p in theirs.named_parameters()})
    return names


def assert_equal_training(criterion, ours, net_input, their_criterion, theirs, their_sample):
    """The losses, sample sizes and gradients of all parameters."""
    names = load(ours, theirs)
    sample = {
        "net_input": net_input,
        "num_samples": np.array([net_input["source"].shape[1]] * len(net_input["source"])),
        "nsentences": 1,
        "audio_seconds": 1.0,
    }
    their_sample["id"] = torch.arange(len(net_input["source"]))
    expected, their_size, _ = their_criterion(theirs.train(), their_sample)
    loss, size, _ = criterion(ours.train(), sample)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert size == their_size
    expected.backward()
    loss.backward()
    gradients = dict(ours.named_parameters())
    for name, p in theirs.named_parameters():
        scale = p.grad.abs().max().item()
        torch.testing.assert_close(
            gradients[names[name]].grad, p.grad, rtol=1e-4, atol=2e-5 * scale + 1e-6, msg=name
        )


@pytest.mark.parametrize(
    ("lengths", "classes"),
    [("16000", [24]), ("odd", [24, 13]), ("720", [24]), ("padded", [24, 13])],
)
@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_hubert_trains_as_fairseqs(mode, norm_first, lengths, classes, monkeypatch):
    """With two label sets, too, each with a projection and embeddings of its own.

    Its padding mask scales samples to frames instead of counting the convolutions', and so has up
    to two frames more; these padded lengths are odd ones for which both rules agree.
    """
    from fairseq.criterions.hubert_criterion import HubertCriterion
    from fairseq.models.hubert import hubert

    from fairseq_budget.criterions.masked_prediction import BudgetMaskedPredictionConfig as Config
    from fairseq_budget.criterions.masked_prediction import BudgetMaskedPredictionCriterion
    from fairseq_budget.models.hubert import BudgetHubertConfig, BudgetHubertModel

    net_input, padding = batch({**LENGTHS, "padded": [16_111, 14_487, 13_201]}[lengths])
    mask = net_input["mask_indices"]
    generator = torch.Generator().manual_seed(2)
    labels = [torch.randint(4, size, mask.shape, generator=generator) for size in classes]
    norms = {"extractor_mode": mode, "layer_norm_first": norm_first}
    torch.manual_seed(0)
    theirs = hubert.HubertModel(
        hubert.HubertConfig(label_rate=50, untie_final_proj=True, **norms, **THEIRS),
        SimpleNamespace(sample_rate=16000),
        [range(num_classes) for num_classes in classes],
    )
    ours = BudgetHubertModel(BudgetHubertConfig(num_classes=classes, **norms, **OURS))
    monkeypatch.setattr(hubert, "compute_mask_indices", lambda *a, **k: mask.numpy())
    assert_equal_training(
        BudgetMaskedPredictionCriterion(Config(), None),
        ours,
        {**net_input, "labels": labels},
        HubertCriterion(None, pred_masked_weight=1.0, pred_nomask_weight=0.0, loss_weights=[10.0]),
        theirs,
        {
            "net_input": {"source": net_input["source"], "padding_mask": padding},
            "target_list": labels,
        },
    )


@pytest.mark.parametrize("lengths", [*LENGTHS, "padded"])
@pytest.mark.parametrize(("mode", "norm_first"), MODES)
def test_wav2vec2_trains_as_fairseqs(mode, norm_first, lengths, monkeypatch):
    from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    from fairseq_budget.criterions.contrastive import (
        BudgetContrastiveConfig,
        BudgetContrastiveCriterion,
    )
    from fairseq_budget.losses.contrastive import sample_negatives
    from fairseq_budget.models.wav2vec2 import BudgetWav2Vec2Config, BudgetWav2Vec2Model

    net_input, padding = batch({**LENGTHS, "padded": [16_111, 9_777, 5_005]}[lengths])
    mask, masked = net_input["mask_indices"], net_input["masked"]
    norms = {"extractor_mode": mode, "layer_norm_first": norm_first}
    torch.manual_seed(0)
    theirs = Wav2Vec2Model(
        Wav2Vec2Config(quantize_targets=True, latent_vars=20, num_negatives=10, **norms, **THEIRS)
    )
    ours = BudgetWav2Vec2Model(
        BudgetWav2Vec2Config(
            latent_vars=20, num_negatives=10, dropout_features=0.0, **norms, **OURS
        )
    )
    rows = masked // mask.shape[1]
    negatives = sample_negatives(mask.sum(1), rows, 10, torch.Generator().manual_seed(3))

    def fixed_negatives(y, num, padding_count=None):
        return y.reshape(-1, y.shape[-1])[negatives.T].view(10, len(y), num, -1), negatives

    def gumbel_softmax(logits, tau, hard):
        """With the noise that ours draws first from its seed."""
        uniform = torch.rand(logits.shape, generator=torch.Generator().manual_seed(0))
        soft = ((logits - (-uniform.log()).log()) / tau).softmax(-1)
        return torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0) + (
            soft - soft.detach()
        )

    monkeypatch.setattr(theirs, "sample_negatives", fixed_negatives)
    monkeypatch.setattr(torch.nn.functional, "gumbel_softmax", gumbel_softmax)
    assert_equal_training(
        BudgetContrastiveCriterion(BudgetContrastiveConfig(), None),
        ours,
        {**net_input, "negatives": negatives, "noise_seed": 0},
        Wav2vecCriterion(None, infonce=True, loss_weights=[0.1, 10.0]),
        theirs,
        {
            "net_input": {
                "source": net_input["source"],
                "padding_mask": padding,
                "mask_indices": mask,
            }
        },
    )
