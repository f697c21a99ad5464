"""transformers loads our encoders and recognisers, and computes what we compute."""

import json

import pytest
import torch

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.export import main
from fairseq_budget.cli.import_ import main as import_main
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.lengths import normalize_wave
from fairseq_budget.pretrained import load_pretrained, read_pretrained, save_pretrained
from fairseq_budget.pretrained.transformers_folder import (
    COMPUTED,
    REFUSED,
    import_transformers,
    save_transformers,
)
from fairseq_budget.pretrained.vocabulary import TRANSDUCER, Vocabulary
from fairseq_budget.sizes import TRANSFORMER_SIZES
from tests.own_models import LETTERS, noise, random_checkpoint, random_recognizer

pytestmark = pytest.mark.s3prl  # which brings transformers
transformers = pytest.importorskip("transformers")

LARGE = {"layer_norm_first": True, "extractor_mode": "layer_norm", "normalize": True}
VARIANTS = {
    "post-norm": {},
    "pre-norm": {"layer_norm_first": True},
    "large": {**LARGE, "conv_bias": True},
    "no projection": {"conv_dim": 128},
    "odd positions": {"conv_pos": 19, "conv_pos_groups": 4},
    "a student": {"feature_layer_norm": False, "mask_embedding": False},
}


def loaded(folder, checkpoint):
    """What AutoModel makes of the export; every weight must be in it, and no other."""
    save_transformers(folder, checkpoint)
    model, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


@torch.no_grad()
def assert_states_equal(model, checkpoint, wave):
    source = normalize_wave(wave, None) if checkpoint.encoder.normalize else wave
    theirs = model(source, output_hidden_states=True).hidden_states
    ours = checkpoint.build_encoder()(wave).hidden_states
    for state, expected in zip(theirs, ours, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", TRANSFORMER_SIZES)
def test_every_size_has_the_same_states(size, tmp_path):
    checkpoint = random_checkpoint(size=size, encoder_layers=1)
    assert_states_equal(loaded(tmp_path, checkpoint), checkpoint, noise(2000)[0][None])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_every_norm_and_kernel_has_the_same_states(kind, variant, tmp_path):
    checkpoint = random_checkpoint(f"budget_{kind}", **VARIANTS[variant])
    model = loaded(tmp_path, checkpoint)
    assert_states_equal(model, checkpoint, noise(4000)[0][None])
    only_hubert = variant == "a student"  # Wav2Vec2Model has the LayerNorm always
    assert model.config.model_type == ("hubert" if only_hubert else kind)


def test_a_padded_batch_is_computed_as_here_where_no_norm_is_over_time(tmp_path):
    """Otherwise as with mask_padding=false, fairseq's way: the front-end's norm hears padding."""
    waves = noise(3000, 5000)
    for fields in (LARGE, {"mask_padding": False}):
        checkpoint = random_checkpoint(**fields)
        model = loaded(tmp_path, checkpoint)
        extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
        batch = extractor(
            [wave.numpy() for wave in waves],
            padding=True, sampling_rate=16000, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            theirs = model(**batch).last_hidden_state
            ours = checkpoint.build_encoder()(waves).last_hidden_state
        valid = num_frames(len(waves[0]))
        for row, frames in ((0, valid), (1, None)):
            torch.testing.assert_close(
                theirs[row, :frames], ours[row, :frames], atol=1e-3, rtol=1e-3
            )  # normalised waveforms are those of 1e-7 beside the variance, ours of 1e-5
        alone = checkpoint.build_encoder()(waves[0]).last_hidden_state[0]
        is_alike = torch.allclose(theirs[0, :valid], alone, atol=1e-3)
        assert is_alike == ("extractor_mode" in fields)


def test_the_feature_extractor_normalises_what_the_encoder_was_trained_to_hear(tmp_path):
    for normalize in (False, True):
        save_transformers(tmp_path, random_checkpoint(normalize=normalize))
        extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
        assert (extractor.do_normalize, extractor.return_attention_mask) == (normalize, True)
        assert extractor.sampling_rate == 16000


def test_a_recogniser_has_its_logits_and_letters(tmp_path):
    checkpoint = random_recognizer()
    save_transformers(tmp_path, checkpoint)
    model, info = transformers.AutoModelForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    processor = transformers.AutoProcessor.from_pretrained(tmp_path)
    [wave] = noise(8000)
    heard = processor(wave.numpy(), sampling_rate=16000, return_tensors="pt")
    recognizer = Recognizer(checkpoint)
    with torch.no_grad():
        logits = model.eval()(**heard).logits
        ours = recognizer.head(recognizer.encoder(wave).output)
    torch.testing.assert_close(logits, ours, atol=1e-4, rtol=1e-5)
    [text] = recognizer(wave[None], torch.tensor([8000]))
    [theirs] = processor.batch_decode(logits.argmax(2))
    assert len(text) > 3
    assert theirs == text
    assert processor.tokenizer("TEA EAT").input_ids == [6, 5, 7, 4, 5, 7, 6]
    assert model.config.pad_token_id == processor.tokenizer.pad_token_id == LETTERS.blank


PIECES = Vocabulary([*LETTERS.symbols[:4], "▁THE", "A"], word_pieces=b"")
PHONES = Vocabulary([*LETTERS.symbols[:4], "DH", "AH"])
INEXPRESSIBLE = {
    "size=zipformer_tiny.*: for tr": lambda: random_checkpoint(
        size="zipformer_tiny", encoder_layers=1
    ),
    "subsample=conv: for transformers expected": lambda: random_checkpoint(subsample="conv"),
    "frontend=logmel: transformers has no": lambda: random_checkpoint(frontend="logmel"),
    "has no transducer": lambda: random_checkpoint(TRANSDUCER),
    "are word pieces": lambda: random_recognizer(PIECES),
    "or phones": lambda: random_recognizer(PHONES),
}


@pytest.mark.parametrize("reason", INEXPRESSIBLE)
def test_what_transformers_cannot_express_is_refused_and_nothing_written(reason, tmp_path, capsys):
    save_pretrained(tmp_path / "ours", INEXPRESSIBLE[reason]())
    with pytest.raises(BudgetError, match=reason):
        save_transformers(tmp_path / "out", INEXPRESSIBLE[reason]())
    assert not (tmp_path / "out").exists()


def test_a_recogniser_without_a_dictionary_is_refused(tmp_path):
    checkpoint = random_recognizer()
    checkpoint.vocabulary = None
    with pytest.raises(BudgetError, match="there is no tokenizer to write; fine-tune again"):
        save_transformers(tmp_path / "out", checkpoint)


def test_half_precision_becomes_float32(tmp_path):
    checkpoint = random_checkpoint()
    checkpoint.state = {name: value.half() for name, value in checkpoint.state.items()}
    assert loaded(tmp_path, checkpoint).dtype is torch.float32


def test_the_folder_holds_no_code(tmp_path):
    save_pretrained(tmp_path / "ours", random_recognizer())
    assert main([str(tmp_path / "ours"), str(tmp_path / "out"), "--to", "transformers"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "preprocessor_config.json",
        "provenance.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.json",
    ]  # fmt: skip
    assert "auto_map" not in json.loads((tmp_path / "out" / "config.json").read_text())


TINY = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 64,
    "conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}


def theirs(folder, kind="Hubert", head="Model", do_normalize=False, safe=True, **fields):
    """A model of transformers' own, with random norms, and the folder that it saved."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**TINY, **fields})
    model = getattr(transformers, f"{kind}{head}")(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_(1, 0.1)
    model.save_pretrained(folder, safe_serialization=safe)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return model


@pytest.mark.parametrize("fields", [{}, STABLE], ids=["base", "large"])
@pytest.mark.parametrize("kind", ["Hubert", "Wav2Vec2"])
def test_models_that_transformers_made_have_their_states_here(kind, fields, tmp_path):
    model = theirs(tmp_path / "hf", kind, do_normalize=bool(fields), **fields)
    words = [tmp_path / "hf", tmp_path / "ours", "--source", "transformers"]
    assert import_main([str(word) for word in words]) == 0
    found = read_pretrained(tmp_path / "ours")
    assert (found.model, found.encoder.normalize) == (f"budget_{kind.lower()}", bool(fields))
    assert_states_equal(model, found, noise(4000)[0][None])


def test_of_a_model_with_heads_the_encoder_is_imported(tmp_path):
    for kind, head in (("Hubert", "ForCTC"), ("Wav2Vec2", "ForPreTraining")):
        model = theirs(tmp_path / kind, kind, head)
        inner = getattr(model, kind.lower())
        assert_states_equal(inner, import_transformers(tmp_path / kind), noise(2000)[0][None])


def test_pickled_weights_are_read_as_inert_data(tmp_path):
    model = theirs(tmp_path, safe=False)
    assert (tmp_path / "pytorch_model.bin").is_file()
    assert_states_equal(model, import_transformers(tmp_path), noise(2000)[0][None])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_what_goes_there_comes_back_bit_for_bit(kind, variant, tmp_path):
    checkpoint = random_checkpoint(f"budget_{kind}", **VARIANTS[variant])
    save_transformers(tmp_path, checkpoint)
    found = import_transformers(tmp_path)
    assert found.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(found.state[k], value) for k, value in checkpoint.state.items())
    ours, back = checkpoint.encoder.resolved(), found.encoder.resolved()
    unlike = {k for k, v in vars(ours).items() if v != getattr(back, k)}
    assert unlike <= {"size", "final_dim"}  # of heads, which are left out


def rewritten(folder, name="config.json", **fields):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("name", [*COMPUTED, *REFUSED])
def test_fields_that_are_computed_otherwise_are_refused_by_name(name, tmp_path):
    theirs(tmp_path)
    rewritten(tmp_path, **{name: "other"})
    with pytest.raises(BudgetError, match=f"its field {name} is 'other': only models with"):
        import_transformers(tmp_path)


def test_a_projection_between_equal_widths_has_no_place_here(tmp_path):
    theirs(tmp_path, hidden_size=32, num_attention_heads=2)
    with pytest.raises(BudgetError, match=r"no place here.*: post_extract_proj.bias"):
        import_transformers(tmp_path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("WavLM", "WavLM.* gated relative positions"), ("Data2VecAudio", "data2vec, whose positions")],
)
def test_other_models_are_refused_with_the_reason(kind, reason, tmp_path):
    theirs(tmp_path, kind)
    with pytest.raises(BudgetError, match=f"this is {reason}"):
        import_transformers(tmp_path)


def test_our_own_folder_needs_no_import(tmp_path):
    save_pretrained(tmp_path, random_checkpoint())
    with pytest.raises(BudgetError, match="is a model of this package: name it without"):
        import_transformers(tmp_path)
    assert load_pretrained(tmp_path)


def test_a_folder_that_lacks_something_says_what(tmp_path):
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        theirs(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(BudgetError, match=name.replace("model.safetensors", "pytorch_model")):
            import_transformers(tmp_path)


def test_damaged_folders_are_refused(tmp_path):
    theirs(tmp_path)
    for name, content in (("model.safetensors", b"{"), ("config.json", b"[]")):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BudgetError, match="is not a model that transformers saved"):
            import_transformers(tmp_path)
        (tmp_path / name).write_bytes(whole)
    rewritten(tmp_path, do_stable_layer_norm="yes")
    with pytest.raises(BudgetError, match="its field layer_norm_first is 'yes': expected a bool"):
        import_transformers(tmp_path)
