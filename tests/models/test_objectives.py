"""HuBERT and wav2vec 2.0 as models: parameters, gradients, what must not be computed."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from tests.models.test_tera import batch_of, net_input

pytestmark = pytest.mark.fairseq


def hubert(size="tiny", **overrides):
    from fairseq_budget.models.hubert import BudgetHubertConfig, BudgetHubertModel

    torch.manual_seed(0)
    return BudgetHubertModel(
        BudgetHubertConfig(size=size, seed=1, num_classes=24, encoder_layerdrop=0.0, **overrides)
    )


def wav2vec2(size="tiny", **overrides):
    from fairseq_budget.models.wav2vec2 import BudgetWav2Vec2Config, BudgetWav2Vec2Model

    torch.manual_seed(0)
    return BudgetWav2Vec2Model(
        BudgetWav2Vec2Config(size=size, seed=1, encoder_layerdrop=0.0, **overrides)
    )


def hubert_inputs(*num_samples: int) -> dict:
    inputs = net_input(*num_samples)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, 24, inputs["mask_indices"].shape, generator=generator)
    return {**inputs, "labels": [labels]}


def criterion_of(name: str):
    """The criterion that is registered under a name, as it is by default."""
    from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

    import fairseq_budget.criterions  # noqa: F401

    return CRITERION_REGISTRY[name](CRITERION_DATACLASS_REGISTRY[name](), task=None)


def run(criterion: str, model, inputs):
    """Criterion by registered name -> (loss, sample size, log)."""
    return criterion_of(criterion)(model, batch_of(inputs))


@pytest.mark.parametrize("head", ["cosine", "linear"])
def test_every_parameter_of_hubert_is_alive(head):
    model = hubert(head=head)
    loss, _, _ = run("budget_masked_prediction", model, hubert_inputs(8000, 6000))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_is_compiled_in_training_if_its_config_says_so(compiled):
    model = hubert(compile=compiled)
    layer = model.encoder.encoder.layers[0]
    assert layer._compiled_call_impl is None
    model.compile_parts()
    assert (layer._compiled_call_impl is not None) is compiled


def test_every_parameter_of_wav2vec2_is_alive():
    model = wav2vec2()
    loss, _, _ = run("budget_contrastive", model, net_input(8000, 6000))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_hubert_computes_logits_of_masked_frames_only_unless_asked():
    inputs = hubert_inputs(8000, 6000)
    out = hubert()(**inputs)
    assert out["logits"][0].shape == (len(inputs["masked"]), 24)
    assert "unmasked_logits" not in out
    heard = hubert(predict_unmasked=True)(**inputs)["unmasked_logits"][0]
    assert len(heard) == 24 + 18 - len(inputs["masked"])  # valid frames of both, less the masked


def test_hubert_sums_over_batches_padded_or_not():
    model, padded = hubert(normalize=True).eval(), hubert_inputs(8000, 6000)
    _, size, log = run("budget_masked_prediction", model, padded)
    total = 0.0
    for row, (length, frames) in enumerate(((8000, 24), (6000, 18))):
        mask = padded["mask_indices"][row : row + 1, :frames]
        alone = {
            "source": padded["source"][row : row + 1, :length],
            "labels": [own[row : row + 1, :frames] for own in padded["labels"]],
            "mask_indices": mask,
            "masked": mask.flatten().nonzero()[:, 0],
        }
        total += run("budget_masked_prediction", model, alone)[2]["masked_prediction.sum"]
    assert size == len(padded["masked"])
    torch.testing.assert_close(log["masked_prediction.sum"], total, rtol=1e-4, atol=1e-3)


def test_wav2vec2_draws_negatives_and_noise_from_the_batchs_seed():
    model, inputs = wav2vec2(dropout_features=0.0, dropout=0.0, attention_dropout=0.0,
                             dropout_input=0.0), net_input(8000, 6000)  # fmt: skip
    logits = [model(**inputs, noise_seed=seed)["logits"] for seed in (1, 1, 2)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_temperature_falls_with_the_updates_to_its_end():
    model = wav2vec2(latent_temp=[2.0, 0.5, 0.99])
    temperatures = []
    for update in (0, 1, 10_000):
        model.set_num_updates(update)
        temperatures.append(model.temperature())
    assert temperatures == pytest.approx([2.0, 1.98, 0.5])


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_losses_are_finite_in_half_precision(dtype):
    for criterion, model, inputs in (
        ("budget_masked_prediction", hubert(), hubert_inputs(8000, 6000)),
        ("budget_contrastive", wav2vec2(), net_input(8000, 6000)),
    ):
        loss, _, _ = run(criterion, model.to(dtype), inputs)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("subsample", ["average", "conv", "cif"])
@pytest.mark.parametrize("upsample", [False, True])
def test_hubert_learns_on_segments(subsample, upsample):
    model = hubert(subsample=subsample, subsample_rate=3, upsample=upsample)
    loss, sample_size, log = run("budget_masked_prediction", model, hubert_inputs(16000, 12000))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    masked = int(hubert_inputs(16000, 12000)["mask_indices"].sum())
    assert 0 < sample_size < masked or upsample
    assert ("cardinality.sum" in log) == (subsample == "cif")


def test_wav2vec2_refuses_segments():
    with pytest.raises(BudgetError, match=r"model\.subsample=average"):
        wav2vec2(subsample="average")
