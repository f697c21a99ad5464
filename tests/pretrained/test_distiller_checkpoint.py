"""s3prl's DistilHuBERT, built by s3prl and in the file that its pre-training writes."""

from argparse import Namespace

import pytest
import torch

from fairseq_budget.cli.import_ import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import read_pretrained
from fairseq_budget.pretrained.distiller_checkpoint import import_distiller
from tests.own_models import noise

pytestmark = pytest.mark.s3prl

TINY = {
    "extractor_conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
    "encoder_layers": 2, "encoder_embed_dim": 48, "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 3, "conv_pos": 16, "conv_pos_groups": 4, "final_dim": 48,
    "n_tasks": 3, "pred_layer_id": [4, 8, 12],
}  # fmt: skip


def saved(path, **fields):
    """The student that s3prl builds, and its file: settings, options of the run, an optimizer."""
    model = pytest.importorskip("s3prl.upstream.distiller.model")
    config = {**TINY, **fields}
    torch.manual_seed(0)
    student = model.DistillerModel(model.DistillerConfig(config)).eval()
    for parameter in student.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_(1, 0.1)
    content = {"Distiller": student.state_dict(), "Config": {"distiller": config}}
    torch.save({**content, "Args": Namespace(a=1), "Step": 1, "Optimizer": {}}, path)
    return student


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_student_has_its_states_here(norm_first, mode, tmp_path):
    student = saved(tmp_path / "x.ckpt", extractor_mode=mode, layer_norm_first=norm_first)
    words = [str(tmp_path / "x.ckpt"), str(tmp_path / "ours"), "--source", "s3prl"]
    assert main(words) == 0
    found = read_pretrained(tmp_path / "ours")
    assert found.model == "budget_distilhubert"
    wave = noise(4000)[0][None]
    with torch.no_grad():
        *_, layers = student(wave, torch.ones_like(wave), get_hidden=True)
        ours = found.build_encoder()(wave).hidden_states[1:]
    if norm_first:  # theirs are without the final norm
        layers[-1] = student.encoder.layer_norm(layers[-1])
    for state, expected in zip(ours, layers, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


def test_another_student_is_refused_by_name(tmp_path):
    task = {"task_emb_type": "add", "out_layer_type": "none"}
    cases = {
        "its field activation_fn is 'relu'": {"activation_fn": "relu"},
        "no place here.*: task_embedding.weight": task,
    }
    for message, fields in cases.items():
        saved(tmp_path / "x.ckpt", **fields)
        with pytest.raises(BudgetError, match=message):
            import_distiller(tmp_path / "x.ckpt")


def test_something_else_is_refused(tmp_path):
    torch.save({"Transformer": {}, "Config": {}}, tmp_path / "x.ckpt")
    with pytest.raises(BudgetError, match=r"x.ckpt is not a DistilHuBERT of s3prl.*'distiller'"):
        import_distiller(tmp_path / "x.ckpt")
