"""Sizes, types and dimensions of encoders: what goes together, and what is refused."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.sizes import SIZES


@pytest.mark.parametrize("size", SIZES)
def test_resolving_twice_changes_nothing(size):
    config = EncoderConfig(size=size).resolved()
    assert config.resolved() == config
    assert config.encoder_type == SIZES[size].encoder_type


@pytest.mark.parametrize("size", SIZES)
def test_widths_are_those_of_the_modules(size):
    config = EncoderConfig(size=size).resolved()
    with torch.device("meta"):
        encoder = SpeechEncoder(config).eval()
        states = encoder(torch.empty(1, 1600)).hidden_states
    assert encoder.mask_emb.shape == (config.input_dim,)
    assert [state.shape[2] for state in states] == [config.output_dim] * len(states)
    assert len(states) == config.encoder_layers + 1


def test_a_size_that_contradicts_the_type_is_an_error():
    assert EncoderConfig(size="zipformer_base", encoder_type="zipformer").resolved().zipformer
    with pytest.raises(BudgetError, match="size=slim: expected a size of that type: zipformer_t"):
        EncoderConfig(size="slim", encoder_type="zipformer").resolved()
    with pytest.raises(BudgetError, match=r"size=zipformer_base: expected .* tiny, slim_30"):
        EncoderConfig(size="zipformer_base", encoder_type="transformer").resolved()
    with pytest.raises(BudgetError, match="expected transformer, zipformer"):
        EncoderConfig(encoder_type="conformer").resolved()


def test_a_config_of_before_has_convolutions_and_an_unknown_front_end_is_told_with_the_known():
    assert EncoderConfig.from_dict({"size": "tiny"}).frontend == "conv"
    with pytest.raises(BudgetError, match=r"frontend='mel': .* conv, logmel; did you mean logmel"):
        EncoderConfig(frontend="mel").resolved()


@pytest.mark.parametrize(
    "name",
    ["encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads", "conv_pos"],
)
def test_dimensions_that_each_stack_has_for_itself_are_refused(name):
    with pytest.raises(BudgetError, match=f"model.{name}=64: each stack of zipformer_tiny"):
        EncoderConfig(size="zipformer_tiny", **{name: 64}).resolved()


@pytest.mark.parametrize("layers", [0, 7])
def test_a_zipformer_keeps_some_of_its_stacks(layers):
    with pytest.raises(BudgetError, match=r"has 6 stacks; expected .* 1 to 6"):
        EncoderConfig(size="zipformer_tiny", encoder_layers=layers).resolved()


def test_shared_dimensions_may_be_overridden():
    config = EncoderConfig(size="zipformer_tiny", conv_dim=32, final_dim=8).resolved()
    assert (config.conv_dim, config.final_dim, config.zipformer.conv_dim) == (32, 8, 32)
    assert SpeechEncoder(config).post_extract_proj.in_features == 32
