"""TERA: targets, loss, gradients, and what must not depend on the batch."""

import numpy as np
import pytest
import torch

from fairseq_budget.audio.targets import AcousticTarget
from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.frames import num_frames

pytestmark = pytest.mark.fairseq


def tera(size="tiny", **overrides):
    from fairseq_budget.models.tera import BudgetTeraConfig, BudgetTeraModel

    torch.manual_seed(0)
    return BudgetTeraModel(BudgetTeraConfig(size=size, seed=1, **overrides))


def net_input(*num_samples: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    longest = max(num_samples)
    source = torch.zeros(len(num_samples), longest)
    mask = torch.zeros(len(num_samples), num_frames(longest), dtype=torch.bool)
    for row, length in enumerate(num_samples):
        source[row, :length] = 0.1 * torch.randn(length, generator=generator)
        mask[row, 1 : num_frames(length) - 1 : 2] = True
    return {
        "source": source.view(torch.int32),
        "mask_indices": mask,
        "masked": mask.flatten().nonzero()[:, 0],
        "num_samples": torch.tensor(num_samples) if min(num_samples) < longest else None,
    }


def loss_of(model, inputs):
    from fairseq_budget.criterions._base import BudgetCriterionConfig
    from fairseq_budget.criterions.reconstruction import BudgetReconstructionCriterion

    criterion = BudgetReconstructionCriterion(BudgetCriterionConfig(), task=None)
    return criterion(model, batch_of(inputs))


def batch_of(inputs: dict) -> dict:
    """What a criterion gets: the model's inputs, and what stays on the host."""
    batch, samples = inputs["source"].shape
    lengths = inputs.get("num_samples")
    return {
        "net_input": inputs,
        "nsentences": batch,
        "num_samples": np.full(batch, samples) if lengths is None else lengths.numpy(),
        "audio_seconds": 1.0,
    }


def test_every_parameter_is_alive_and_counted():
    model = tera()
    loss, _, _ = loss_of(model, net_input(8000, 8000))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    counted = sum(p.numel() for p in model.parameters())
    assert counted == count_parameters("tiny").parameters


@pytest.mark.parametrize("num_samples", [1600, 7999, 8000, 8080, 16000])
def test_every_masked_frame_has_the_target_of_its_own_time(num_samples):
    model = tera().eval()
    inputs = net_input(num_samples)
    wave = inputs["source"].view(torch.float32)
    targets = AcousticTarget("mfcc", normalize=False)(wave)
    out = model(**inputs)
    torch.testing.assert_close(out["target"], targets[0, inputs["masked"]])


def test_a_last_frame_without_a_pair_of_its_own_has_the_one_before():
    wave = torch.randn(2, 32_160, generator=torch.Generator().manual_seed(0))
    wave[1, 31_840:] = 0
    lengths = torch.tensor([32_160, 31_840])  # 100 and 99 frames, 99 and 98 pairs
    for normalize in (False, True):
        targets = AcousticTarget("mfcc", normalize=normalize)
        together = targets(wave, lengths)
        assert together.shape[1] == num_frames(32_160) == 100
        for row, length in enumerate(lengths):
            alone = targets(wave[row : row + 1, :length])[0]
            torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-4, rtol=1e-4)
            assert torch.equal(alone[-1], alone[-2])
            assert not torch.equal(alone[-2], alone[-3])


def test_loss_sums_over_batches_padded_or_not():
    model = tera(normalize=True, normalize_target=True).eval()
    lengths = (8000, 6000, 4000)
    padded = net_input(*lengths)
    _, size, log = loss_of(model, padded)
    parts = []
    for row, length in enumerate(lengths):
        frames = num_frames(length)
        mask = padded["mask_indices"][row : row + 1, :frames]
        alone = {
            "source": padded["source"][row : row + 1, :length],
            "mask_indices": mask,
            "masked": mask.flatten().nonzero()[:, 0],
        }
        parts.append(loss_of(model, alone))
    assert size == sum(part[1] for part in parts)
    total = sum(part[2]["reconstruction.sum"] for part in parts)
    torch.testing.assert_close(log["reconstruction.sum"], total, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("target", ["mfcc", "logmel"])
def test_targets_stay_in_float32_in_a_half_precision_model(target):
    inputs = net_input(8000)
    full, half = tera(target=target), tera(target=target).to(torch.bfloat16)
    expected = full(**inputs)["target"]
    out = half(**inputs)
    assert out["prediction"].dtype is torch.bfloat16
    assert torch.equal(out["target"], expected)


def test_unknown_target_is_an_error():
    from fairseq_budget.errors import BudgetError

    with pytest.raises(BudgetError, match="target='fbank': expected 'mfcc' or 'logmel'"):
        tera(target="fbank")


def test_layer_drop_follows_the_update_and_noise_the_batch():
    model = tera(
        encoder_layers=8, encoder_layerdrop=0.5, noise_prob=1.0, dropout=0.0,
        attention_dropout=0.0, dropout_input=0.0,
    )  # fmt: skip
    inputs = net_input(8000)

    def run(update: int, noise_seed: int) -> torch.Tensor:
        model.set_num_updates(update)
        return model(**inputs, noise_seed=noise_seed)["prediction"]

    assert torch.equal(run(5, 1), run(5, 1))
    assert not torch.equal(run(5, 1), run(6, 1))
    assert not torch.equal(run(5, 1), run(5, 2))


def test_only_masked_frames_reach_the_loss():
    model = tera().eval()
    inputs = net_input(8000)
    model(**inputs)["prediction"].sum().backward()
    assert model.head.final_proj.weight.grad.abs().sum() > 0
    nothing = {**inputs, "masked": inputs["masked"][:0]}
    loss, size, _ = loss_of(model, nothing)
    assert size == 0
    assert torch.isfinite(loss)


@pytest.mark.parametrize("subsample", ["average", "conv", "cif"])
@pytest.mark.parametrize("upsample", [False, True])
def test_tera_learns_on_segments(subsample, upsample):
    model = tera(subsample=subsample, subsample_rate=3, upsample=upsample)
    inputs = net_input(16000, 12000)
    inputs["mask_indices"][:, 6:18] = True
    loss, sample_size, _ = loss_of(model, inputs)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert sample_size > 0


def test_targets_of_segments_are_means_over_them():
    inputs = net_input(16000)
    inputs["mask_indices"][:] = True
    inputs["masked"] = inputs["mask_indices"].flatten().nonzero()[:, 0]
    frames = tera().eval()(**inputs)["target"]
    segments = tera(subsample="average", subsample_rate=4).eval()(**inputs)["target"]
    torch.testing.assert_close(segments[3], frames[12:16].mean(0))
