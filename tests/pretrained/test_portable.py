"""The portable checkpoint."""

import json
import re
import subprocess
import sys

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import (
    Pretrained,
    load_pretrained,
    read_pretrained,
    save_pretrained,
    untrained,
)
from fairseq_budget.pretrained.vocabulary import Vocabulary
from tests.own_models import noise, random_checkpoint


@pytest.fixture
def checkpoint() -> Pretrained:
    torch.manual_seed(0)
    config = EncoderConfig(size="tiny", encoder_layers=1)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    return Pretrained("budget_tera", config, {"target": "mfcc"}, state, {"num_updates": 7})


def test_saved_and_loaded_encoders_agree(checkpoint, tmp_path):
    save_pretrained(tmp_path / "out", checkpoint)
    wave = 0.1 * torch.randn(1, 8000)
    ours = checkpoint.build_encoder()(wave).last_hidden_state
    assert torch.equal(ours, load_pretrained(tmp_path / "out")(wave).last_hidden_state)


def test_config_holds_resolved_sizes_and_provenance(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["format_version"] == 1
    assert config["encoder"]["encoder_layers"] == 1
    assert config["encoder"]["encoder_embed_dim"] == 128
    assert config["provenance"]["num_updates"] == 7


def test_a_front_end_of_log_mel_frames_comes_back_however_wide(tmp_path):
    wide = random_checkpoint(frontend="logmel", conv_dim=2048)
    save_pretrained(tmp_path, wide)
    wave = noise(8000)
    ours = wide.build_encoder()(wave).last_hidden_state
    assert torch.equal(ours, load_pretrained(tmp_path)(wave).last_hidden_state)


def test_half_precision_weights_come_back_in_float32(checkpoint, tmp_path):
    checkpoint.state = {k: v.half() for k, v in checkpoint.state.items()}
    save_pretrained(tmp_path, checkpoint)
    assert load_pretrained(tmp_path).mask_emb.dtype is torch.float32


def test_untrained_twins_differ_by_seed_alone(checkpoint):
    states = [untrained(checkpoint, seed).state for seed in (1, 1, 2)]
    name = "encoder.encoder.layers.0.fc1.weight"
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])
    assert states[0].keys() == checkpoint.state.keys()


def test_loading_needs_neither_fairseq_nor_pickle(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    code = f"""
import sys, pickle
sys.modules["fairseq"] = sys.modules["omegaconf"] = None
pickle.Unpickler = pickle.load = pickle.loads = None
from fairseq_budget.pretrained import load_pretrained
load_pretrained({str(tmp_path)!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(BudgetError, match=r"nothing.pt does not exist"):
        read_pretrained(tmp_path / "nothing.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04."])
def test_an_unreadable_file_is_an_error(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(BudgetError, match=r"x.pt is not a fairseq checkpoint of ours"):
        read_pretrained(tmp_path / "x.pt")


def test_a_checkpoint_that_is_not_ours_is_an_error(tmp_path):
    torch.save({"model": {}, "cfg": {"model": {"_name": "hubert"}}}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"holds a 'hubert', not a budget_\* model"):
        read_pretrained(tmp_path / "x.pt")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Evil()}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match="not a fairseq checkpoint of ours"):
        read_pretrained(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


def test_an_empty_folder_is_an_error_that_names_what_was_expected(tmp_path):
    with pytest.raises(BudgetError, match=r"expected model.safetensors and config.json"):
        read_pretrained(tmp_path)


def test_a_newer_format_is_an_error(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(BudgetError, match="format_version 99"):
        read_pretrained(tmp_path)


def test_weights_that_do_not_fit_are_an_error(checkpoint, tmp_path):
    checkpoint.encoder = EncoderConfig(size="tiny", encoder_layers=2)
    save_pretrained(tmp_path, checkpoint)
    with pytest.raises(BudgetError, match="do not fit their config"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("word_pieces", [None, b"\x00\n\xff"])
def test_a_recognisers_vocabulary_goes_through_both_files(checkpoint, tmp_path, word_pieces):
    checkpoint.vocabulary = Vocabulary(["<s>", "▁the", '"'], 0, word_pieces)
    save_pretrained(tmp_path / "out", checkpoint)
    assert read_pretrained(tmp_path / "out").vocabulary == checkpoint.vocabulary
    torch.save(checkpoint.vocabulary.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert Vocabulary.from_state(state) == checkpoint.vocabulary


def test_one_changed_byte_of_an_export_is_found(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(BudgetError, match=r"model\.safetensors is not what was exported"):
        read_pretrained(tmp_path)


def test_an_export_of_a_version_that_hashed_nothing_is_read(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["sha256"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_pretrained(tmp_path).provenance["num_updates"] == 7


ODD_CONFIGS = {
    "a list": [],
    "nothing": {},
    "a list as encoder": {"encoder": []},
    "text as width": {"encoder": {"size": "tiny", "encoder_embed_dim": "128"}},
    "a fraction as width": {"encoder": {"size": "tiny", "encoder_embed_dim": 128.5}},
    "no heads": {"encoder": {"size": "tiny", "encoder_attention_heads": 0}},
    "heads that do not fit": {"encoder": {"size": "tiny", "encoder_attention_heads": 5}},
    "no groups": {"encoder": {"size": "tiny", "conv_pos_groups": 0}},
    "a billion layers": {"encoder": {"size": "tiny", "encoder_layers": 10**9}},
    "many layers": {"encoder": {"size": "tiny", "encoder_layers": 60_000}},
    "wide layers": {"encoder": {"size": "tiny", "encoder_embed_dim": 65_536}},
    "wide kernels": {"encoder": {"size": "tiny", "conv_dim": 65_536}},
    "a list as size": {"encoder": {"size": ["tiny"]}},
    "text as hash": {"sha256": "0"},
    "a path as hashed file": {"sha256": {"../config.json": "0"}},
    "a vocabulary of numbers": {"vocabulary": {"symbols": [1, 2]}},
    "no model": {"model": None},
    "a model of others": {"model": "wav2vec2"},
    "a symbol twice": {"vocabulary": {"symbols": ["a", "a"]}},
    "a blank that is no symbol": {"vocabulary": {"symbols": ["a"], "blank": 1}},
}


@pytest.mark.parametrize("kind", ODD_CONFIGS)
def test_a_config_that_no_export_has_is_an_error_that_names_the_folder(checkpoint, tmp_path, kind):
    save_pretrained(tmp_path, checkpoint)
    config, odd = json.loads((tmp_path / "config.json").read_text()), ODD_CONFIGS[kind]
    odd = {**config, **odd} if odd else odd
    (tmp_path / "config.json").write_text(json.dumps(odd))
    with pytest.raises(BudgetError, match=re.escape(str(tmp_path))):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("text", ["5", "[" * 100_000, "null"])
def test_text_that_is_no_config_is_an_error_that_names_the_folder(checkpoint, tmp_path, text):
    save_pretrained(tmp_path, checkpoint)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BudgetError, match=re.escape(str(tmp_path))):
        read_pretrained(tmp_path)


def saved_by_a_run(checkpoint) -> dict:
    section = {"_name": "x"}
    model = {"_name": "budget_tera", "size": "tiny", "encoder_layers": 1}
    return {
        "model": checkpoint.state,
        "cfg": {"model": model, "task": section, "optimization": section, "criterion": section},
        "optimizer_history": [{"num_updates": 3}],
        "task_state": {"audio_hours": 1.0, "flops": 1.0},
    }


ODD_CHECKPOINTS = {
    "no weights": {"model": None},
    "weights of text": {"model": {"encoder.x": "text"}},
    "names that are numbers": {"model": {1: torch.zeros(1)}},
    "an empty history": {"optimizer_history": []},
    "no history": {"optimizer_history": None},
    "text as updates": {"optimizer_history": [{"num_updates": "3"}]},
    "a config that is a list": {"cfg": [1]},
    "a config without a task": {"cfg": {"model": {"_name": "budget_tera"}}},
    "a state that is a list": {"task_state": [1]},
    "a vocabulary that is text": {"task_state": {"vocabulary": "abc"}},
    "a blank below all symbols": {"task_state": {"vocabulary": {"symbols": ["a"], "blank": -1}}},
    "weights that are missing": {"model": {}},
}


def test_what_a_run_saves_is_read(checkpoint, tmp_path):
    torch.save(saved_by_a_run(checkpoint), tmp_path / "x.pt")
    assert load_pretrained(tmp_path / "x.pt").config.encoder_layers == 1


@pytest.mark.parametrize("kind", ODD_CHECKPOINTS)
def test_a_checkpoint_that_no_run_saves_is_an_error_that_names_it(checkpoint, tmp_path, kind):
    torch.save({**saved_by_a_run(checkpoint), **ODD_CHECKPOINTS[kind]}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"x\.pt"):
        load_pretrained(tmp_path / "x.pt")


def test_an_exported_file_given_as_a_checkpoint_is_an_error_that_names_it(checkpoint, tmp_path):
    save_pretrained(tmp_path, checkpoint)
    with pytest.raises(BudgetError, match=r"model\.safetensors"):
        load_pretrained(tmp_path / "model.safetensors")
