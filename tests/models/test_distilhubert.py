"""DistilHuBERT: teacher, targets, gradients, and its silent behaviours as flags."""

import pytest
import torch

from fairseq_budget.budget.flops import FLOPS_PER_MAC, batch_training_flops, encoder_macs
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.teacher import Teacher, init_from_teacher
from fairseq_budget.pretrained import ENCODER_PREFIX, Pretrained, save_pretrained
from tests.models.test_tera import batch_of

pytestmark = pytest.mark.fairseq


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    torch.manual_seed(1)
    config = EncoderConfig(size="tiny", dropout=0.3, encoder_layerdrop=0.9)
    state = SpeechEncoder(config).state_dict()
    state = {ENCODER_PREFIX + name: value for name, value in state.items()}
    folder = tmp_path_factory.mktemp("teacher")
    save_pretrained(folder, Pretrained("budget_hubert", config, {}, state))
    return folder


def distilhubert(teacher, **overrides):
    from fairseq_budget.models.distilhubert import (
        BudgetDistilhubertConfig,
        BudgetDistilhubertModel,
    )

    torch.manual_seed(0)
    fields = {"encoder_layers": 2, "feature_layer_norm": False, "mask_embedding": False}
    fields |= {"size": "tiny", "seed": 1, "encoder_layerdrop": 0.0, "teacher_layers": [1, 3]}
    return BudgetDistilhubertModel(
        BudgetDistilhubertConfig(teacher=str(teacher), **{**fields, **overrides})
    )


def inputs(*num_samples: int) -> dict:
    longest = max(num_samples)
    source = torch.zeros(len(num_samples), longest)
    for row, length in enumerate(num_samples):
        source[row, :length] = 0.1 * torch.randn(length)
    lengths = torch.tensor(num_samples) if min(num_samples) < longest else None
    return {"source": source.view(torch.int32), "num_samples": lengths}


def loss_of(model, net_input, **weights):
    from fairseq_budget.criterions.distillation import (
        BudgetDistillationConfig,
        BudgetDistillationCriterion,
    )

    criterion = BudgetDistillationCriterion(BudgetDistillationConfig(**weights), task=None)
    return criterion(model, batch_of(net_input))


@pytest.mark.parametrize("subsample", ["none", "average", "conv", "cif"])
@pytest.mark.parametrize("upsample", [False, True])
def test_every_parameter_of_the_student_is_alive(teacher_folder, subsample, upsample):
    model = distilhubert(teacher_folder, subsample=subsample, upsample=upsample)
    loss, sample_size, log = loss_of(model, inputs(8000, 6000))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert float(sample_size) > 0
    assert {"l1_1.sum", "cosine_3.sum", "flops"} <= log.keys()


def test_the_teacher_is_never_saved_trained_or_halved(teacher_folder):
    model = distilhubert(teacher_folder)
    teacher = model._teacher[0]
    assert not any("teacher" in name for name in model.state_dict())
    assert all(not p.requires_grad for p in teacher.parameters())
    model.half()
    model.train()
    assert {p.dtype for p in teacher.parameters()} == {torch.float32}
    assert not teacher.training
    assert not any(layer.training for layer in teacher.encoder.encoder.layers)


def test_the_teacher_keeps_no_graph_and_runs_once_per_batch(teacher_folder):
    model = distilhubert(teacher_folder, subsample="cif")
    calls = []
    model._teacher[0].register_forward_hook(lambda *_: calls.append(1))
    out = model(**inputs(8000))
    assert not out["target"].requires_grad
    assert calls == [1]


@pytest.mark.parametrize("target_gradient", [False, True])
def test_alphas_learn_from_the_targets_only_if_asked_to(teacher_folder, target_gradient):
    model = distilhubert(teacher_folder, subsample="cif", target_gradient=target_gradient)
    assert model(**inputs(8000))["target"].requires_grad == target_gradient


def test_dropout_of_the_teacher_is_a_flag(teacher_folder):
    batch = inputs(8000)

    def targets(model):
        return [model(**batch)["target"] for _ in range(2)]

    first, second = targets(distilhubert(teacher_folder))
    torch.testing.assert_close(first, second)
    first, second = targets(distilhubert(teacher_folder, teacher_dropout=True))
    assert not torch.equal(first, second)


def test_loss_on_padding_is_a_flag(teacher_folder):
    batch = inputs(8000, 4000)
    frames = num_frames(8000) + num_frames(4000)
    _, size, _ = loss_of(distilhubert(teacher_folder), batch)
    assert int(size) == 2 * frames
    _, size, _ = loss_of(distilhubert(teacher_folder, mask_loss=False), batch)
    assert int(size) == 2 * 2 * num_frames(8000)


def test_targets_are_pooled_as_the_student_is(teacher_folder):
    batch = inputs(8000)
    full = distilhubert(teacher_folder).eval()(**batch)["target"]
    out = distilhubert(teacher_folder, subsample="average", subsample_rate=4).eval()(**batch)
    assert out["prediction"].shape == out["target"].shape
    torch.testing.assert_close(out["target"][:, 0], full[:, :4].mean(1))


def test_the_student_begins_as_the_teacher_but_for_one_norm(teacher_folder):
    model = distilhubert(teacher_folder)
    teacher = model._teacher[0].encoder.state_dict()
    state = model.encoder.state_dict()
    other = {name for name, value in state.items() if not torch.equal(value, teacher[name])}
    # A new LayerNorm is all ones and zeros, in a student as in this teacher.
    assert other <= {"encoder.layer_norm.weight", "encoder.layer_norm.bias"}


def test_a_student_of_another_width_cannot_begin_as_its_teacher(teacher_folder):
    with pytest.raises(BudgetError, match=r"model\.init_from_teacher=false"):
        distilhubert(teacher_folder, encoder_embed_dim=64)
    model = distilhubert(teacher_folder, encoder_embed_dim=64, init_from_teacher=False)
    assert model(**inputs(8000))["prediction"].shape[-1] == 128


def test_the_teachers_pass_is_counted_once(teacher_folder):
    model = distilhubert(teacher_folder)
    _, _, log = loss_of(model, inputs(16000, 8000))
    lengths = batch_of(inputs(16000, 8000))["num_samples"]
    teacher = FLOPS_PER_MAC * encoder_macs(EncoderConfig(size="tiny"), lengths).sum()
    student = batch_training_flops(model.encoder.config, lengths)
    assert log["flops"] == pytest.approx(student + teacher)


def test_a_measured_number_of_segments_is_what_is_paid_for(teacher_folder):
    model = distilhubert(teacher_folder, subsample="cif")
    _, _, log = loss_of(model, inputs(16000))
    half = model.encoder.config
    counted = batch_training_flops(half, [16000], [int(log["segment_rate.sum"])])
    teacher = FLOPS_PER_MAC * encoder_macs(EncoderConfig(size="tiny"), 16000)
    assert log["flops"] == pytest.approx(counted + teacher)


def test_boundary_guidance_without_boundaries_says_what_is_missing(teacher_folder):
    model = distilhubert(teacher_folder, subsample="cif")
    with pytest.raises(BudgetError, match=r"task\.segments"):
        loss_of(model, inputs(8000), frame_weight=0.25)


def test_guidance_is_a_mean_over_utterances_weighted_by_the_sample_size(teacher_folder):
    model = distilhubert(teacher_folder, subsample="cif").eval()
    batch = inputs(8000)
    plain, size, _ = loss_of(model, batch, cardinality_weight=0.0)
    guided, _, log = loss_of(model, batch, cardinality_weight=2.0)
    added = int(size) * log["cardinality.sum"]
    torch.testing.assert_close(guided - plain, added, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layers", [[0], [4], []])
def test_layers_that_the_teacher_lacks_are_an_error(layers):
    with pytest.raises(BudgetError, match="the teacher has 3 layers"):
        Teacher(SpeechEncoder(EncoderConfig(size="tiny")), layers)


@pytest.mark.parametrize("layer", [2, 3])
def test_a_pre_norm_teachers_top_layer_alone_has_the_final_norm(layer):
    encoder = SpeechEncoder(EncoderConfig(size="tiny", layer_norm_first=True)).eval()
    torch.nn.init.normal_(encoder.encoder.layer_norm.weight)
    wave = 0.1 * torch.randn(1, 8000)
    expected = encoder(wave).hidden_states[layer]
    torch.testing.assert_close(Teacher(encoder, [layer])(wave)[:, :, 0], expected)


def test_a_teacher_of_another_frame_rate_is_an_error():
    short = SpeechEncoder(EncoderConfig(size="tiny", subsample="average"))
    with pytest.raises(BudgetError, match="20 ms"):
        Teacher(short, [1])


def test_a_student_that_is_deeper_than_its_teacher_cannot_begin_as_it():
    student, teacher = (SpeechEncoder(EncoderConfig(size="tiny", encoder_layers=n)) for n in (4, 3))
    with pytest.raises(BudgetError, match=r"encoder\.layers\.3"):
        init_from_teacher(student, teacher)
