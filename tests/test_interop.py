"""fairseq's checkpoints, read without executing anything."""

import pytest
import torch

from fairseq_budget.cli.import_ import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.interop import import_fairseq
from fairseq_budget.pretrained import load_pretrained
from tests.parity.test_fairseq_encoder import fairseq_model


@pytest.fixture
def wave() -> torch.Tensor:
    return 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))


def saved(path, model, **config):
    """A checkpoint with what makes real ones hard: argparse, omegaconf and fairseq objects."""
    from fairseq.data.dictionary import Dictionary
    from omegaconf import OmegaConf

    cfg = {
        "model": {"encoder_attention_heads": 4, "logit_temp": 0.1,
                  "conv_feature_layers": "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"},
        "task": {"normalize": False},
    }  # fmt: skip
    cfg["model"].update(config)
    torch.save(
        {
            "args": None,
            "cfg": OmegaConf.create(cfg),
            "model": model.state_dict(),
            "task_state": {"dictionaries": [Dictionary()]},
        },
        path,
    )
    return path


@pytest.mark.fairseq
@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_an_imported_checkpoint_gives_fairseqs_hidden_states(mode, norm_first, tmp_path, wave):
    theirs = fairseq_model(mode, norm_first)
    path = saved(tmp_path / "x.pt", theirs, layer_norm_first=norm_first)
    assert main([str(path), str(tmp_path / "out")]) == 0
    with torch.no_grad():
        expected = theirs.extract_features(wave, padding_mask=None, mask=False)["x"]
        ours = load_pretrained(tmp_path / "out")(wave).last_hidden_state
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.fairseq
def test_heads_come_along_under_our_names(tmp_path):
    state = import_fairseq(saved(tmp_path / "x.pt", fairseq_model("default", False))).state
    assert {"quantizer.vars", "project_q.weight", "final_proj.bias"} <= state.keys()


@pytest.mark.fairseq
def test_importing_needs_no_fairseq_and_leaves_weights_only_on(tmp_path, monkeypatch):
    import sys

    path = saved(tmp_path / "x.pt", fairseq_model("default", False))
    for name in [n for n in sys.modules if n.split(".")[0] in ("fairseq", "omegaconf")]:
        monkeypatch.setitem(sys.modules, name, None)
    load = torch.load

    def checked(*args, **kwargs):
        assert kwargs["weights_only"] is True
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", checked)
    assert import_fairseq(path).model == "budget_wav2vec2"


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": {}, "cfg": Evil()}, tmp_path / "x.pt")
    with pytest.raises(BudgetError):
        import_fairseq(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.fairseq
def test_another_front_end_is_refused_by_its_strides(tmp_path):
    path = saved(
        tmp_path / "x.pt", fairseq_model("default", False),
        conv_feature_layers="[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,1)] * 2",
    )  # fmt: skip
    with pytest.raises(BudgetError, match=r"\(2, 1\)"):
        import_fairseq(path)


def test_something_else_is_refused(tmp_path):
    torch.save({"model": {"weight": torch.zeros(1)}, "cfg": {}}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"no HuBERT or wav2vec 2.0 checkpoint"):
        import_fairseq(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"nothing")
    with pytest.raises(BudgetError, match="cannot be read"):
        import_fairseq(tmp_path / "y.pt")
    with pytest.raises(BudgetError, match="does not exist"):
        import_fairseq(tmp_path / "z.pt")
