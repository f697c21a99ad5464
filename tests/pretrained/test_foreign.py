"""Files that are nothing to import say what they are and what to do, whoever opens them."""

from argparse import Namespace
from collections import OrderedDict

import pytest
import torch

from fairseq_budget.cli.import_ import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, load_pretrained, save_pretrained
from fairseq_budget.pretrained.fairseq_checkpoint import import_fairseq, read_teacher
from fairseq_budget.pretrained.inert import load_inert, plain
from tests.foreign_models import FIELDS, checkpoint, config_of, fine_tuned_config, pretrained

WEIGHT = torch.zeros(1)
DATA2VEC = {"model": {"_name": "data2vec_multi"}, "task": {"normalize": True}}
FILES = {
    r"s3prl's DistilHuBERT: budget-import --source s3prl": {
        "Distiller": {"encoder.layers.0.fc1.weight": WEIGHT}, "Config": {}, "Args": Namespace(a=1),
    },
    r"s3prl's conversion.* take the original": {
        "task_cfg": {}, "model_cfg": {}, "model_weight": {"mask_emb": WEIGHT},
    },
    r"a model of transformers: budget-import --source transformers": OrderedDict(
        {"hubert.feature_projection.projection.weight": WEIGHT}
    ),
    r"a model of torchaudio: budget-import --source torchaudio": {
        "encoder.transformer.layers.0.attention.k_proj.weight": WEIGHT,
        "encoder.feature_projection.projection.weight": WEIGHT,
    },
    r"data2vec, whose .* it is not computed here; take HuBERT": {
        "cfg": DATA2VEC, "model": {"mask_emb": WEIGHT},
    },
    r"data2vec, whose .* it is": {
        "cfg": {"model": {"_name": "wav2vec_ctc", "w2v_args": DATA2VEC}, "task": {}},
        "model": {"w2v_encoder.w2v_model.mask_emb": WEIGHT},
    },
    r"the model 'avhubert': expected hubert or wav2vec2": {
        "args": Namespace(arch="avhubert"), "model": {"mask_emb": WEIGHT},
    },
    r"a Zipformer of k2SSL: budget-import --source k2ssl": {
        "model": {"encoder.encoders.0.layers.0.norm.bias": WEIGHT}
    },
}  # fmt: skip


@pytest.mark.parametrize("opened_by", [import_fairseq, read_teacher])
@pytest.mark.parametrize("is_zip", [True, False])
def test_files_say_what_they_are_and_the_cure(is_zip, opened_by, tmp_path):
    path = tmp_path / "x.pt"
    for message, content in FILES.items():
        torch.save(content, path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(BudgetError, match=rf"x.pt: this is {message}"):
            opened_by(path)


def test_our_own_model_needs_no_import(tmp_path):
    config = EncoderConfig(size="tiny", encoder_layers=1)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path / "ours", Pretrained("budget_tera", config, {}, state))
    assert read_teacher(tmp_path / "ours").model == "budget_tera"
    cfg = {"model": {"_name": "budget_tera", "size": "tiny", "encoder_layers": 1}}
    cfg |= {"task": {}, "optimization": {}, "criterion": {}}
    history = [{"num_updates": 1}]
    torch.save({"cfg": cfg, "model": state, "optimizer_history": history}, tmp_path / "ours.pt")
    assert read_teacher(tmp_path / "ours.pt").build_encoder().config.encoder_layers == 1
    for path in (tmp_path / "ours", tmp_path / "ours.pt"):
        with pytest.raises(BudgetError, match="is a model of this package: name it without"):
            import_fairseq(path)


@pytest.mark.s3prl
@pytest.mark.fairseq
def test_wavlm_is_not_taken_for_hubert(tmp_path):
    wavlm = pytest.importorskip("s3prl.upstream.wavlm.WavLM")
    fields = {**FIELDS, "relative_position_embedding": True, "gru_rel_pos": True}
    model = wavlm.WavLM(wavlm.WavLMConfig(fields))
    content = {"cfg": vars(model.cfg), "model": model.state_dict()}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"this is WavLM .* gated relative positions"):
        read_teacher(tmp_path / "x.pt")


@pytest.mark.s3prl
@pytest.mark.parametrize("safe", [True, False])
def test_transformers_folders_and_files_say_what_they_are(safe, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = transformers.HubertModel(
        transformers.HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "hf", safe_serialization=safe)
    [weights] = [path for path in (tmp_path / "hf").iterdir() if path.suffix != ".json"]
    for path in (tmp_path / "hf", weights):
        with pytest.raises(BudgetError, match="is a model of transformers: budget-import --source"):
            import_fairseq(path)
    for opened_by in (read_teacher, load_pretrained):
        with pytest.raises(BudgetError, match="is a model of transformers: budget-import --source"):
            opened_by(tmp_path / "hf")
    (tmp_path / "hf" / "config.json").unlink()
    with pytest.raises(BudgetError, match=r"is no file that torch.save wrote: take the original"):
        import_fairseq(tmp_path / "hf")


@pytest.mark.fairseq
def test_a_public_checkpoint_where_ours_is_needed_names_budget_import(tmp_path, capsys):
    torch.save(checkpoint(pretrained("hubert"), config_of("hubert")), tmp_path / "x.pt")
    with pytest.raises(BudgetError, match="budget-import makes a folder"):
        load_pretrained(tmp_path / "x.pt")
    assert main([str(tmp_path / "x.pt"), str(tmp_path / "out")]) == 0
    assert load_pretrained(tmp_path / "out").config.encoder_layers == 2


@pytest.mark.fairseq
def test_configs_come_out_of_stand_ins_as_plain_values(tmp_path):
    from omegaconf import OmegaConf

    config = fine_tuned_config("hubert", config_of("hubert"))
    model = torch.nn.Linear(1, 1)
    for is_zip in (True, False):
        torch.save(
            checkpoint(model, config), tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip
        )
        found = plain(load_inert(tmp_path / "x.pt")["cfg"])
        assert found == OmegaConf.to_container(OmegaConf.create(config), resolve=False)
