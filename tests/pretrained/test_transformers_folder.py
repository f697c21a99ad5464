"""transformers loads our encoders and recognisers, and computes what we compute."""

import json

import pytest
import torch

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.export import main
from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.lengths import normalize_wave
from fairseq_budget.pretrained import save_pretrained
from fairseq_budget.pretrained.transformers_folder import save_transformers
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


PIECES = Vocabulary([*LETTERS.symbols[:4], "▁TE", "A"], word_pieces=b"")
PHONES = Vocabulary([*LETTERS.symbols[:4], "DH", "AH"])
REFUSED = {
    "have no Zipformer": lambda: random_checkpoint(size="zipformer_tiny", encoder_layers=1),
    r"have no shortened sequence \(subsample=conv\)": lambda: random_checkpoint(subsample="conv"),
    "have no transducer": lambda: random_checkpoint(TRANSDUCER),
    "are word pieces": lambda: random_recognizer(PIECES),
    "or phones": lambda: random_recognizer(PHONES),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_transformers_cannot_express_is_refused_and_nothing_written(reason, tmp_path, capsys):
    save_pretrained(tmp_path / "ours", REFUSED[reason]())
    with pytest.raises(BudgetError, match=reason):
        save_transformers(tmp_path / "out", REFUSED[reason]())
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
        "config.json", "model.safetensors", "preprocessor_config.json",
        "special_tokens_map.json", "tokenizer_config.json", "vocab.json",
    ]  # fmt: skip
    assert "auto_map" not in json.loads((tmp_path / "out" / "config.json").read_text())
