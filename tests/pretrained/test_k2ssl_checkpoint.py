"""k2SSL's Zipformer checkpoints, there and back, without executing anything."""

import os
from collections import Counter

import pytest
import torch

from fairseq_budget.cli import export, import_
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.heads import ClusterHead
from fairseq_budget.nn.zipformer.encoder import ZipformerEncoder
from fairseq_budget.pretrained import Pretrained, load_pretrained, save_pretrained
from fairseq_budget.pretrained.k2ssl_checkpoint import (
    from_k2ssl,
    read_k2ssl,
    write_k2ssl,
    zipformer_size,
)
from fairseq_budget.sizes import ZIPFORMER_SIZES, ZipformerSize

SIZE = ZipformerSize(
    encoder_layers=(1, 2),
    encoder_embed_dim=(12, 16),
    encoder_ffn_embed_dim=(16, 32),
    unmasked_dim=(12, 16),
    encoder_attention_heads=(2, 3),
    conv_kernel=(5, 3),
    downsampling=(1, 4),
    query_head_dim=5,
    pos_dim=8,
    conv_dim=20,
)


def theirs(size: ZipformerSize = SIZE, device: str = "cpu") -> dict[str, torch.Tensor]:
    """A state dict with k2SSL's keys."""
    torch.manual_seed(0)
    with torch.device(device):
        encoder = ZipformerEncoder(size).state_dict()
        rest = {
            "feature_extractor.conv_layers.0.0.weight": torch.randn(size.conv_dim, 1, 10),
            "layer_norm.weight": torch.ones(size.conv_dim),
            "post_extract_proj.weight": torch.randn(size.encoder_embed_dim[0], size.conv_dim),
            "mask_emb": torch.rand(size.encoder_embed_dim[0]),
            "final_proj.weight": torch.randn(504, size.output_dim),
            "final_proj.bias": torch.zeros(504),
        }
    return {**{f"encoder.{name}": value for name, value in encoder.items()}, **rest}


class Attack:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_a_checkpoint_survives_the_way_there_and_back(tmp_path):
    torch.save({"model": theirs(), "params": {"lr": 0.045}}, tmp_path / "epoch-1.pt")
    size, state = read_k2ssl(tmp_path / "epoch-1.pt")
    write_k2ssl(tmp_path / "back.pt", state)
    again = torch.load(tmp_path / "back.pt", weights_only=True)["model"]
    assert size == SIZE
    assert again.keys() == theirs().keys()
    assert all(torch.equal(value, again[name]) for name, value in theirs().items())


def test_weights_arrive_under_our_names_and_fit_the_encoder():
    state = from_k2ssl(theirs())
    assert {"encoder.mask_emb", "head.final_proj.weight"} <= state.keys()
    prefix = "encoder.encoder."
    ZipformerEncoder(SIZE).load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )


@pytest.mark.parametrize("name", ZIPFORMER_SIZES)
def test_published_sizes_are_recognised_by_their_shapes(name):
    assert (
        zipformer_size(from_k2ssl(theirs(ZIPFORMER_SIZES[name], "meta"))) is ZIPFORMER_SIZES[name]
    )


def test_a_recogniser_gives_its_encoder_only(tmp_path):
    weights = {f"encoder.{name}": value for name, value in theirs().items()}
    weights |= {
        "decoder.embedding.weight": torch.ones(2),
        "joiner.output_linear.bias": torch.ones(2),
    }
    torch.save({"model": weights}, tmp_path / "x.pt")
    size, state = read_k2ssl(tmp_path / "x.pt")
    assert size == SIZE
    assert state.keys() == from_k2ssl(theirs()).keys()


def test_the_recipes_own_objects_are_no_obstacle(tmp_path):
    torch.save({"model": theirs(), "exp_dir": tmp_path, "sampler": Counter()}, tmp_path / "x.pt")
    assert read_k2ssl(tmp_path / "x.pt")[0] == SIZE


def test_nothing_in_the_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": theirs(), "params": Attack()}, "x.pt")
    with pytest.raises(BudgetError, match="cannot be read"):
        read_k2ssl("x.pt")
    assert not (tmp_path / "executed").exists()


def test_other_files_are_refused_by_name(tmp_path):
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"x\.pt is no HuBERT Zipformer checkpoint of k2SSL"):
        read_k2ssl(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_text("hello")
    with pytest.raises(BudgetError, match=r"y\.pt cannot be read"):
        read_k2ssl(tmp_path / "y.pt")
    with pytest.raises(BudgetError, match="does not exist"):
        read_k2ssl(tmp_path / "z.pt")


@pytest.mark.parametrize("wrong", [None, "text", 5, [1.0]])
def test_weights_that_are_no_tensors_are_an_error(tmp_path, wrong):
    state = {**theirs(), "final_proj.bias": wrong}
    torch.save({"model": state}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"x\.pt is no HuBERT Zipformer"):
        read_k2ssl(tmp_path / "x.pt")


def test_a_model_with_the_cosine_head_cannot_be_exported(tmp_path):
    state = {**from_k2ssl(theirs()), "head.label_embs_concat": torch.ones(1)}
    with pytest.raises(BudgetError, match=r"model\.head=linear"):
        write_k2ssl(tmp_path / "x.pt", state)
    assert not (tmp_path / "x.pt").exists()


def ours(
    size: str = "zipformer_tiny", model: str = "budget_hubert", frontend: str = "conv"
) -> Pretrained:
    """A whole model under our names."""
    config = EncoderConfig(size=size, frontend=frontend)
    torch.manual_seed(0)
    encoder = SpeechEncoder(config)
    head = ClusterHead(encoder.config.output_dim, 64, [24], kind="linear", temperature=0.1)
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    state |= {f"head.{name}": value for name, value in head.state_dict().items()}
    return Pretrained(model, config, {"head": "linear"}, state)


def test_commands_take_a_model_to_k2ssl_and_back(tmp_path, capsys):
    checkpoint, out = ours(), str(tmp_path / "k2ssl.pt")
    save_pretrained(tmp_path / "ours", checkpoint)
    assert export.main([str(tmp_path / "ours"), str(tmp_path / "again"), "--k2ssl", out]) == 0
    words = ["--source", "k2ssl", "--normalize"]
    assert import_.main([out, str(tmp_path / "back"), *words]) == 0
    assert "zipformer of 6 stacks, width 96" in capsys.readouterr().out
    encoder = load_pretrained(tmp_path / "back")
    assert encoder.config.normalize
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, checkpoint.state[f"encoder.{name}"])


@pytest.mark.parametrize(
    "checkpoint",
    [
        ("tiny", "budget_hubert"),
        ("zipformer_tiny", "budget_tera"),
        ("zipformer_tiny", "budget_hubert", "logmel"),
    ],
    ids=str,
)
def test_other_models_cannot_be_exported_to_k2ssl(checkpoint, tmp_path, capsys):
    save_pretrained(tmp_path / "ours", ours(*checkpoint))
    words = [str(tmp_path / "ours"), str(tmp_path / "x"), "--k2ssl", str(tmp_path / "x.pt")]
    assert export.main(words) == 2
    assert "k2SSL reads budget_hubert with a zipformer size" in capsys.readouterr().err


def test_dimensions_of_no_size_here_are_refused(tmp_path, capsys):
    torch.save({"model": theirs()}, tmp_path / "x.pt")
    words = [str(tmp_path / "x.pt"), str(tmp_path / "x"), "--source", "k2ssl"]
    assert import_.main(words) == 2
    assert "expected the dimensions of zipformer_tiny" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
