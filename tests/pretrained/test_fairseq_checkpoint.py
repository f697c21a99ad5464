"""fairseq's checkpoints, read without executing anything, and computed as fairseq computes them."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_budget.cli.import_ import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import load_pretrained
from fairseq_budget.pretrained.fairseq_checkpoint import COMPUTED, import_fairseq, read_teacher
from tests.foreign_models import (
    FIELDS,
    LARGE,
    checkpoint,
    config_of,
    fine_tuned,
    fine_tuned_config,
    pretrained,
    states,
)

KINDS = ["hubert", "wav2vec2"]
FORMS = ["cfg", "args"]  # where fairseq has kept a model's fields


@pytest.fixture
def wave() -> torch.Tensor:
    return 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) + 0.1


def saved(path, model, config, form="cfg", **how):
    torch.save(checkpoint(model, config, form), path, **how)
    return path


def assert_states_equal(encoder, theirs, wave, *, normalize):
    source = F.layer_norm(wave, wave.shape[1:]) if normalize else wave
    with torch.no_grad():
        ours = encoder(wave).hidden_states[1:]
    for state, expected in zip(ours, states(theirs, source), strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.fairseq
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_an_imported_checkpoint_gives_fairseqs_states_in_all_layers(
    kind, mode, norm_first, form, tmp_path, wave
):
    fields = {"extractor_mode": mode, "layer_norm_first": norm_first}
    theirs = pretrained(kind, **fields)
    path = saved(tmp_path / "x.pt", theirs, config_of(kind, normalize=norm_first, **fields), form)
    assert main([str(path), str(tmp_path / "out")]) == 0
    assert_states_equal(load_pretrained(tmp_path / "out"), theirs, wave, normalize=norm_first)


@pytest.mark.fairseq
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fine_tuned_large_model_gives_its_encoders_states(kind, form, tmp_path, wave):
    """What tells how to compute it is in w2v_args alone; heads are no multiple of 64 channels."""
    config = config_of(kind, normalize=True, **LARGE)
    theirs = fine_tuned(kind, config)
    path = saved(tmp_path / "x.pt", theirs, fine_tuned_config(kind, config), form)
    imported = read_teacher(path)
    assert (imported.model, imported.encoder.layer_norm_first) == (f"budget_{kind}", True)
    assert_states_equal(imported.build_encoder(), theirs, wave, normalize=True)


@pytest.mark.fairseq
def test_an_encoder_with_a_decoder_is_the_same_encoder(tmp_path):
    config = config_of("hubert", **LARGE)
    whole = checkpoint(fine_tuned("hubert", config), fine_tuned_config("hubert", config))
    torch.save(whole, tmp_path / "ctc.pt")
    weights = {name.removeprefix("w2v_"): value for name, value in whole["model"].items()}
    torch.save({**whole, "model": weights | {"decoder.fc": torch.ones(2)}}, tmp_path / "seq2seq.pt")
    expected, found = (import_fairseq(tmp_path / f"{name}.pt") for name in ("ctc", "seq2seq"))
    assert found.encoder == expected.encoder
    assert all(torch.equal(found.state[name], value) for name, value in expected.state.items())


@pytest.mark.fairseq
def test_of_data2vec_the_encoder_is_imported_where_it_is_wav2vec2s(tmp_path, wave):
    """Published ones have five positional convolutions, and their averaged teacher beside them."""
    from fairseq.examples.data2vec.models.data2vec_audio import (
        Data2VecAudioConfig,
        Data2VecAudioModel,
    )

    fields = {**FIELDS, "pos_conv_depth": 1}
    theirs = Data2VecAudioModel(Data2VecAudioConfig(**fields)).eval()
    config = {"model": {"_name": "data2vec_audio", **fields}, "task": {"normalize": True}}
    content = {"cfg": config, "model": {**theirs.state_dict(), "_ema": {"layers.0": wave}}}
    torch.save(content, tmp_path / "x.pt")
    found = import_fairseq(tmp_path / "x.pt")
    assert found.model == "budget_wav2vec2"
    assert all(name.startswith("encoder.") for name in found.state)
    assert_states_equal(found.build_encoder(), theirs, wave, normalize=True)
    config["model"]["pos_conv_depth"] = 5
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match="its field pos_conv_depth is 5: only models with 1"):
        import_fairseq(tmp_path / "x.pt")


@pytest.mark.fairseq
def test_a_field_that_points_to_another_is_looked_up(tmp_path):
    config = config_of("hubert", layer_norm_first="${task.pre_norm}")
    config["task"]["pre_norm"] = True
    path = saved(tmp_path / "x.pt", pretrained("hubert", layer_norm_first=True), config)
    assert import_fairseq(path).encoder.layer_norm_first
    del config["task"]["pre_norm"]
    with pytest.raises(BudgetError, match="its field layer_norm_first is None: expected a bool"):
        import_fairseq(saved(tmp_path / "x.pt", pretrained("hubert"), config))


@pytest.mark.fairseq
@pytest.mark.parametrize("form", FORMS)
def test_files_of_torchs_old_format_are_read_too(form, tmp_path):
    model, config = pretrained("hubert"), config_of("hubert")
    new = saved(tmp_path / "new.pt", model, config, form)
    old = saved(tmp_path / "old.pt", model, config, form, _use_new_zipfile_serialization=False)
    expected, found = import_fairseq(new), import_fairseq(old)
    assert found.encoder == expected.encoder
    assert all(torch.equal(found.state[name], value) for name, value in expected.state.items())


@pytest.mark.fairseq
def test_heads_come_along_under_our_names(tmp_path):
    path = saved(tmp_path / "x.pt", pretrained("wav2vec2"), config_of("wav2vec2"))
    assert {"quantizer.vars", "project_q.weight", "final_proj.bias"} <= import_fairseq(
        path
    ).state.keys()
    found = import_fairseq(saved(tmp_path / "y.pt", pretrained("hubert"), config_of("hubert")))
    assert found.encoder.final_dim == 16
    assert found.state["head.label_embs_concat"].shape == (12, 16)
    assert found.state["head.final_proj.bias"].shape == (2 * 16,)


@pytest.mark.fairseq
def test_importing_needs_no_fairseq_and_leaves_weights_only_on(tmp_path, monkeypatch):
    import sys

    path = saved(tmp_path / "x.pt", pretrained("wav2vec2"), config_of("wav2vec2"))
    for name in [n for n in sys.modules if n.split(".")[0] in ("fairseq", "omegaconf")]:
        monkeypatch.setitem(sys.modules, name, None)
    load = torch.load

    def checked(*args, **kwargs):
        assert kwargs["weights_only"] is True
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", checked)
    assert import_fairseq(path).model == "budget_wav2vec2"


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, is_zip):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save(
        {"model": {}, "cfg": Evil()}, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip
    )
    with pytest.raises(BudgetError):
        import_fairseq(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


def test_text_of_gigabytes_in_a_file_of_torchs_old_format_is_given_no_room(tmp_path):
    content = b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"text"  # BINUNICODE8
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(BudgetError, match=r"x\.pt cannot be read as a checkpoint"):
        import_fairseq(tmp_path / "x.pt")


OTHERS = {
    "activation_fn": "relu", "layer_type": "conformer", "quantize_input": True, "target_glu": True,
    "quantizer_depth": 2, "pos_conv_depth": 5, "conv_pos_batch_norm": True,
    "crop_seq_to_multiple": 2, "relative_position_embedding": True, "sample_rate": 8000,
}  # fmt: skip


@pytest.mark.fairseq
@pytest.mark.parametrize("form", FORMS)
def test_fields_that_are_computed_otherwise_are_refused_by_name(form, tmp_path):
    model, config = pretrained("hubert"), config_of("hubert")
    assert OTHERS.keys() == COMPUTED.keys()
    for name, value in OTHERS.items():
        group = "task" if name == "sample_rate" else "model"
        other = {**config, group: {**config[group], name: value}}
        with pytest.raises(BudgetError, match=rf"its field {name} is {value!r}: only models with "):
            import_fairseq(saved(tmp_path / "x.pt", model, other, form))


@pytest.mark.fairseq
def test_adapters_of_fine_tuning_are_refused(tmp_path):
    config = config_of("wav2vec2")
    path = saved(
        tmp_path / "x.pt", fine_tuned("wav2vec2", config),
        fine_tuned_config("wav2vec2", config, layer_type="trf_adp"),
    )  # fmt: skip
    with pytest.raises(BudgetError, match="its field layer_type is 'trf_adp'"):
        import_fairseq(path)


@pytest.mark.fairseq
def test_a_fine_tuned_model_without_its_encoders_fields_is_refused(tmp_path):
    model = fine_tuned("hubert", config_of("hubert"))
    path = saved(tmp_path / "x.pt", model, fine_tuned_config("hubert", None))
    with pytest.raises(BudgetError, match=r"w2v_args.* take the checkpoint that .* \(/gone\)"):
        import_fairseq(path)


@pytest.mark.fairseq
def test_every_weight_needs_a_place_and_every_place_a_weight(tmp_path):
    whole = checkpoint(pretrained("hubert"), config_of("hubert"))
    odd = {
        "2 of its weights have no place here.*: encoder.layers.0.gate, spk_proj":
            {"encoder.layers.0.gate": torch.ones(3), "spk_proj": torch.ones(3)},
        r"its weight encoder.layers.1.fc1.weight is \[64, 47\]: expected \[64, 48\]":
            {"encoder.layers.1.fc1.weight": torch.ones(64, 47)},
        "its weight layer_norm.bias is missing": {"layer_norm.bias": None},
        "it lacks 'mask_emb'": {"mask_emb": None},
    }  # fmt: skip
    for message, change in odd.items():
        weights = {k: v for k, v in {**whole["model"], **change}.items() if v is not None}
        torch.save({**whole, "model": weights}, tmp_path / "x.pt")
        with pytest.raises(BudgetError, match=message):
            import_fairseq(tmp_path / "x.pt")


@pytest.mark.fairseq
def test_another_front_end_is_refused_by_its_strides(tmp_path):
    config = config_of(
        "wav2vec2", conv_feature_layers="[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,1)] * 2"
    )
    with pytest.raises(BudgetError, match=r"\(2, 1\)"):
        import_fairseq(saved(tmp_path / "x.pt", pretrained("wav2vec2"), config))


def test_something_else_is_refused(tmp_path):
    torch.save({"model": {"weight": torch.zeros(1)}, "cfg": {}}, tmp_path / "x.pt")
    with pytest.raises(BudgetError, match=r"no HuBERT or wav2vec 2.0 checkpoint"):
        import_fairseq(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"nothing")
    with pytest.raises(BudgetError, match="cannot be read"):
        import_fairseq(tmp_path / "y.pt")
    with pytest.raises(BudgetError, match="does not exist"):
        import_fairseq(tmp_path / "z.pt")
