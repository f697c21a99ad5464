"""Every objective trains with a Zipformer: gradients, padding, precision, schedules, randomness."""

import shutil

import pytest
import torch

from fairseq_budget.budget.parameters import count_parameters
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.pretrained import ENCODER_PREFIX, Pretrained, save_pretrained
from tests.models.test_distilhubert import distilhubert
from tests.models.test_objectives import hubert, hubert_inputs, run, wav2vec2
from tests.models.test_recognizers import task as recogniser_task
from tests.models.test_tera import net_input, tera

pytestmark = pytest.mark.fairseq

OBJECTIVES = {
    "tera": (tera, "budget_reconstruction", net_input),
    "hubert": (hubert, "budget_masked_prediction", hubert_inputs),
    "hubert, linear": (
        lambda **c: hubert(head="linear", **c), "budget_masked_prediction", hubert_inputs,
    ),
    "wav2vec2": (wav2vec2, "budget_contrastive", net_input),
}  # fmt: skip


def build(objective: str, **overrides):
    """A model, and a function from utterances' lengths to (loss, sample size, log)."""
    make, criterion, inputs = OBJECTIVES[objective]
    model = make(**{"size": "zipformer_tiny", **overrides})
    return model, lambda *num_samples: run(criterion, model, inputs(*num_samples))


def trained(model) -> dict[str, torch.Tensor]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Folders with a transformer and a Zipformer, by size."""
    folders = {}
    for size in ("tiny", "zipformer_tiny"):
        torch.manual_seed(1)
        config = EncoderConfig(size=size)
        state = SpeechEncoder(config).state_dict()
        state = {ENCODER_PREFIX + name: value for name, value in state.items()}
        folders[size] = tmp_path_factory.mktemp(size)
        save_pretrained(folders[size], Pretrained("budget_hubert", config, {}, state))
    return folders


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_trained_parameter_has_a_finite_gradient_whatever_is_skipped(objective, dtype):
    model, loss_of = build(objective, batch_seconds_per_update=16.0)
    model.to(dtype)
    for update in range(3):
        model.zero_grad()
        model.set_num_updates(update)
        loss_of(8000, 6000)[0].backward()
        grads = {name: p.grad for name, p in trained(model).items()}
        assert [name for name, grad in grads.items() if grad is None] == []
        assert all(grad.isfinite().all() for grad in grads.values())


def test_what_nothing_reads_is_not_trained_but_counted():
    model, _ = build("tera")
    unread = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert all(name.endswith(("bypass_scale", "downsample_output.bias")) for name in unread)
    counted = count_parameters("zipformer_tiny").parameters
    assert sum(p.numel() for p in model.parameters()) == counted


def alone(inputs: dict, row: int, length: int, frames: int) -> dict:
    """One utterance of a padded batch, without its padding."""
    parts = {"mask_indices": inputs["mask_indices"][row : row + 1, :frames]}
    parts["labels"] = [own[row : row + 1, :frames] for own in inputs["labels"]]
    masked = parts["mask_indices"].flatten().nonzero()[:, 0]
    return {**parts, "source": inputs["source"][row : row + 1, :length], "masked": masked}


def test_the_loss_does_not_depend_on_padding_and_batch_mates():
    model, loss_of = build("hubert", normalize=True)
    model.eval()
    _, size, log = loss_of(8000, 6000)
    inputs, total = hubert_inputs(8000, 6000), 0.0
    for row, (length, frames) in enumerate(((8000, 24), (6000, 18))):
        part = run("budget_masked_prediction", model, alone(inputs, row, length, frames))
        total += part[2]["masked_prediction.sum"]
    assert size == len(inputs["masked"])
    torch.testing.assert_close(log["masked_prediction.sum"], total, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("subsample", ["average", "conv", "cif"])
@pytest.mark.parametrize("upsample", [False, True])
def test_it_learns_on_segments(subsample, upsample):
    model, loss_of = build("tera", subsample=subsample, subsample_rate=3, upsample=upsample)
    loss_of(16000, 12000)[0].backward()
    assert [name for name, p in trained(model).items() if p.grad is None] == []


@pytest.mark.parametrize("teacher", ["tiny", "zipformer_tiny"])
def test_it_learns_from_and_as_a_teacher(teacher, teachers):
    model = distilhubert(
        teachers[teacher], size="zipformer_tiny", init_from_teacher=teacher == "zipformer_tiny"
    )
    inputs = net_input(8000, 6000)
    inputs = {name: inputs[name] for name in ("source", "num_samples")}
    run("budget_distillation", model, inputs)[0].backward()
    assert [name for name, p in trained(model).items() if p.grad is None] == []


def test_a_student_begins_with_the_first_stacks_of_its_teacher(teachers):
    model = distilhubert(teachers["zipformer_tiny"], size="zipformer_tiny")
    teacher = model._teacher[0].encoder
    name = "encoder.encoders.1.encoder.layers.0.feed_forward1.in_proj.weight"
    assert torch.equal(model.encoder.state_dict()[name], teacher.state_dict()[name])
    assert len(model.encoder.encoder.encoders) == 2


def test_a_transformer_learns_from_a_zipformer(teachers):
    model = distilhubert(teachers["zipformer_tiny"], init_from_teacher=False, teacher_layers=[2, 5])
    out = model(net_input(8000)["source"])
    assert out["target"].shape == (1, 24, 2, 96)


def test_a_recogniser_takes_it_over_and_outlives_the_checkpoint(teachers, tmp_path):
    from omegaconf import OmegaConf

    from fairseq_budget.models.ctc import BudgetCtcConfig, BudgetCtcModel

    folder = shutil.copytree(teachers["zipformer_tiny"], tmp_path / "pretrained")
    cfg = OmegaConf.structured(BudgetCtcConfig(size="base", seed=1, pretrained=str(folder)))
    model = BudgetCtcModel.build_model(cfg, recogniser_task())
    assert model.ctc_output[1].in_features == 96
    shutil.rmtree(folder)
    again = BudgetCtcModel.build_model(cfg, recogniser_task())
    again.load_state_dict(model.state_dict())


def test_schedules_follow_the_audio_of_the_updates_made():
    model, _ = build("tera", batch_seconds_per_update=4800.0)
    model.set_num_updates(100)
    assert model.encoder.encoder.adjusted_batch_count == 800
    unknown, _ = build("tera")
    unknown.set_num_updates(100)
    assert unknown.encoder.encoder.adjusted_batch_count == float("inf")


def test_a_transformer_has_no_schedule():
    model, loss_of = build("tera", size="tiny", batch_seconds_per_update=16.0)
    model.set_num_updates(3)
    assert loss_of(8000)[0].isfinite()


def test_chance_follows_update_and_batch():
    model, _ = build("tera", dropout_input=0.0)
    inputs = net_input(8000)

    def prediction(update: int, noise_seed: int) -> torch.Tensor:
        model.set_num_updates(update)
        return model(**inputs, noise_seed=noise_seed)["prediction"]

    first = prediction(5, 1)
    assert torch.equal(prediction(5, 1), first)
    assert not torch.equal(prediction(6, 1), first)
    assert not torch.equal(prediction(5, 2), first)


def test_fields_reach_the_encoder():
    config = EncoderConfig(size="zipformer_tiny", mask_padding=False, zipformer_dropout=0.25)
    encoder = SpeechEncoder(config).encoder
    assert isinstance(encoder, ZipformerEncoder)
    assert encoder.mask_padding is False
    layer = encoder.encoders[0].layers[0]
    assert layer.feed_forward1.out_proj.dropout == 0.25
    assert layer.balancer1.prob != 0
    off = EncoderConfig(size="zipformer_tiny", balancers=False, whiten=False)
    layer = SpeechEncoder(off).encoder.encoders[0].layers[0]
    assert (layer.balancer1.prob, layer.whiten.prob) == (0, 0)


@pytest.mark.parametrize("size", ["tiny", "zipformer_tiny"])
def test_cut_off_layers_leave_the_others_as_they_are(size):
    torch.manual_seed(0)
    encoder = SpeechEncoder(EncoderConfig(size=size)).eval()
    wave = torch.randn(1, 8000)
    whole = encoder(wave).hidden_states
    encoder.keep_layers(2)
    states = encoder(wave).hidden_states
    assert len(states) == 3
    width = encoder.config.output_dim
    for state, before in zip(states, whole, strict=False):
        torch.testing.assert_close(state, before[..., :width])
        assert not before[..., width:].any()
