"""CTC and transducer models under their criterions: gradients, freezing, padding, weights."""

from types import SimpleNamespace

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, save_pretrained

pytestmark = pytest.mark.fairseq

LENGTHS = (9000, 6000)


def dictionary():
    from fairseq.data import Dictionary

    letters = Dictionary()
    for letter in "abc|":
        letters.add_symbol(letter)
    return letters


def task():
    return SimpleNamespace(target_dictionary=dictionary())


def build(kind: str, **overrides):
    from omegaconf import OmegaConf

    from fairseq_budget.models.ctc import BudgetCtcConfig, BudgetCtcModel
    from fairseq_budget.models.transducer import BudgetTransducerConfig, BudgetTransducerModel

    settings = {"size": "tiny", "seed": 1, "encoder_layerdrop": 0.0, "feature_grad_mult": 1.0}
    torch.manual_seed(0)
    if kind == "ctc":
        cfg, model = BudgetCtcConfig, BudgetCtcModel
    else:
        cfg, model = BudgetTransducerConfig, BudgetTransducerModel
        settings |= {"decoder_dim": 16, "joiner_dim": 16}
    return model.build_model(OmegaConf.structured(cfg(**{**settings, **overrides})), task())


def criterion_of(kind: str):
    from fairseq_budget.criterions import recognition as module

    if kind == "ctc":
        return module.BudgetCtcCriterion(module.FairseqDataclass(), task())
    return module.BudgetTransducerCriterion(module.BudgetTransducerCriterionConfig(), task())


def sample() -> dict:
    """A padded batch as fairseq's audio_finetuning collates it."""
    generator = torch.Generator().manual_seed(0)
    source = torch.zeros(2, max(LENGTHS))
    for row, length in enumerate(LENGTHS):
        source[row, :length] = 0.1 * torch.randn(length, generator=generator)
    padding = torch.arange(max(LENGTHS)) >= torch.tensor(LENGTHS).unsqueeze(1)
    return {
        "net_input": {"source": source, "padding_mask": padding},
        "target": torch.tensor([[4, 5, 7, 6, 7], [6, 6, 7, 1, 1]]),  # "ab c", "cc"
        "target_lengths": torch.tensor([5, 3]),
        "ntokens": 8,
    }


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_every_parameter_learns_and_the_sample_size_is_the_number_of_symbols(kind):
    model = build(kind)
    loss, size, log = criterion_of(kind)(model, sample())
    loss.backward()
    assert size == log["sample_size"] == 8
    # layer_norm_first is off, so no parameter may be without a gradient
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_a_frozen_encoder_gets_no_gradient_until_it_thaws(kind):
    model = build(kind, freeze_updates=3)
    loss, _, _ = criterion_of(kind)(model, sample())
    loss.backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    model.set_num_updates(3)
    loss, _, _ = criterion_of(kind)(model, sample())
    loss.backward()
    assert model.encoder.encoder.layers[0].fc1.weight.grad.any()
    frozen = build(kind, freeze_encoder=True)
    frozen.set_num_updates(99)
    criterion_of(kind)(frozen, sample())[0].backward()
    assert not any(p.requires_grad for p in frozen.encoder.parameters())


def test_a_frozen_front_end_leaves_the_layers_free():
    model = build("ctc", feature_grad_mult=0.0)
    criterion_of("ctc")(model, sample())[0].backward()
    assert all(p.grad is None for p in model.encoder.feature_extractor.parameters())
    assert model.encoder.encoder.layers[0].fc1.weight.grad.any()


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_padding_does_not_change_the_loss(kind):
    model, batch = build(kind).eval(), sample()
    together = criterion_of(kind)(model, batch)[0]
    alone = torch.zeros(())
    for row, (length, count) in enumerate(zip(LENGTHS, (5, 3), strict=True)):
        one = {
            "net_input": {"source": batch["net_input"]["source"][row : row + 1, :length]},
            "target": batch["target"][row : row + 1, :count],
            "target_lengths": torch.tensor([count]),
            "ntokens": count,
        }
        alone = alone + criterion_of(kind)(model, one)[0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_training_hides_frames_as_a_function_of_seed_and_update(kind):
    model = build(kind, dropout=0.0, attention_dropout=0.0, dropout_input=0.0)
    if kind == "ctc":
        model.ctc_output[0].p = 0.0
    losses = []
    for update in (0, 0, 1):
        model.set_num_updates(update)
        losses.append(criterion_of(kind)(model, sample())[0].item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_validation_counts_word_errors(kind):
    log = criterion_of(kind)(build(kind).eval(), sample())[2]
    assert log["wer.count"] == 3  # ab, c, cc
    assert log["wer.sum"] >= 1
    assert "wer.sum" not in criterion_of(kind)(build(kind), sample())[2]


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_the_log_tells_the_share_of_symbols_that_can_be_aligned(kind):
    batch = sample()
    batch["target"] = torch.full((2, 90), 4)  # an utterance of 18 frames cannot hold so many
    batch["target_lengths"], batch["ntokens"] = torch.tensor([3, 90]), 93
    _, size, log = criterion_of(kind)(build(kind), batch)
    assert size == log["explained.count"] == 93
    assert log["explained.sum"] == 3
    last = "ctc" if kind == "ctc" else "pruned"
    assert log[f"{last}.count"] == 3


def test_words_are_what_the_letters_spell():
    rows = [[4, 5, 7, 6, 7], [6, 6, 7], []]
    assert criterion_of("ctc").words(rows) == ["ab c", "cc", ""]


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_the_encoder_is_the_pretrained_one(kind, tmp_path):
    config = EncoderConfig(size="tiny", encoder_layers=1, normalize=True, layer_norm_first=True)
    torch.manual_seed(5)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path / "tera", Pretrained("budget_tera", config, {}, state))
    model = build(kind, pretrained=str(tmp_path / "tera"), size="base", encoder_layers=None)
    assert model.encoder.config.encoder_layers == 1
    assert model.encoder.config.normalize
    assert model.encoder.config.feature_grad_mult == 1.0  # the fine-tuning's own
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, state[f"encoder.{name}"])


def test_a_missing_pretrained_checkpoint_is_named(tmp_path):
    with pytest.raises(BudgetError, match="nothing here does not exist"):
        build("ctc", pretrained=f"{tmp_path}/nothing here")
