"""Families: members between the named sizes, made of whole heads and layers."""

import pytest

from fairseq_budget.budget.families import dimensions_of, family, find_encoder, model_overrides
from fairseq_budget.budget.flops import body_macs
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.sizes import TRANSFORMER_SIZES, ZIPFORMER_SIZES


def head_dim(config: EncoderConfig) -> int:
    found = config.resolved()
    assert found.encoder_embed_dim % found.encoder_attention_heads == 0
    return found.encoder_embed_dim // found.encoder_attention_heads


@pytest.mark.parametrize("size", TRANSFORMER_SIZES)
def test_members_are_encoders_that_grow_with_their_factor_and_keep_the_width_of_heads(size):
    members = [find_encoder(name) for name in family(size)]
    costs = [body_macs(member.resolved(), num_frames=1) for member in members]
    assert costs == sorted(set(costs))
    assert {head_dim(member) for member in members} == {head_dim(EncoderConfig(size=size))}


@pytest.mark.parametrize("size", ["tiny", "slim", "base"])
@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 4, 8])
def test_a_factor_is_that_of_the_cost_behind_the_front_end(size, factor):
    own, base = (
        body_macs(find_encoder(name).resolved(), num_frames=1)
        for name in (f"{size}:{factor}", size)
    )
    assert own / base == pytest.approx(factor, rel=0.35)  # heads and layers are whole


def test_width_and_depth_grow_alike():
    eight = find_encoder("tiny:8").resolved()
    found = (eight.encoder_layers, eight.encoder_embed_dim, eight.encoder_ffn_embed_dim)
    assert found == (6, 256, 512)
    assert eight.conv_dim == 64  # the front-end stays


def test_a_named_size_is_the_middle_of_its_family():
    names = family("tiny")
    assert names[names.index("tiny") - 1 : names.index("tiny") + 2] == [
        "tiny:0.5",
        "tiny",
        "tiny:2",
    ]
    assert find_encoder("tiny") == EncoderConfig(size="tiny")


def test_dimensions_are_overrides_that_make_the_member_again():
    member = find_encoder("slim:2")
    assert EncoderConfig(**dimensions_of(member)) == member
    assert dimensions_of(find_encoder("slim")) == {"size": "slim"}


def test_a_name_has_fields_of_the_encoder_behind_commas():
    found = find_encoder("tiny:8,frontend=logmel,normalize=true")
    assert (found.encoder_embed_dim, found.frontend, found.normalize) == (256, "logmel", True)
    assert EncoderConfig(**dimensions_of(found)) == found
    assert model_overrides(find_encoder("slim,frontend=logmel")) == {
        "model.size": "slim",
        "model.frontend": "logmel",
    }


def test_overrides_of_a_preset_leave_out_what_it_has():
    preset = EncoderConfig(size="tiny", normalize=True, encoder_layers=5)
    found = model_overrides(EncoderConfig(size="tiny", normalize=True, encoder_layers=6), preset)
    assert found == {"model.size": "tiny", "model.encoder_layers": 6}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiny,frontends=logmel", "no field 'frontends'; expected .* did you mean frontend"),
        ("tiny,frontend=mel", "model.frontend='mel'"),
        ("tiny,size=slim", "no field 'size'"),
        ("tiny,encoder_layers=six", r"model\.encoder_layers"),
    ],
)
def test_fields_that_are_none_are_told_by_name(name, words):
    with pytest.raises(BudgetError, match=words):
        find_encoder(name)


def test_zipformers_are_a_family_of_their_named_sizes():
    assert family("zipformer_base") == list(ZIPFORMER_SIZES)
    with pytest.raises(BudgetError, match=r"stacks of a Zipformer .* zipformer_small"):
        find_encoder("zipformer_base:2")


@pytest.mark.parametrize("name", ["tiny:two", "tiny:0", "tiny:-1", "tiny:nan", "tiny:1e9"])
def test_what_is_no_factor_is_told_with_one_that_is(name):
    with pytest.raises(BudgetError, match=r"expected a factor from 0.015625 to 64"):
        find_encoder(name)


def test_an_unknown_size_is_told_with_the_nearest():
    with pytest.raises(BudgetError, match=r"'slimm:2': expected one of .* did you mean slim"):
        find_encoder("slimm:2")
