"""CTC models of transformers are recognisers here, with the letters of their tokenizer."""

import json

import pytest
import torch

from fairseq_budget.asr.recognizer import Recognizer
from fairseq_budget.cli.import_ import main as import_main
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import read_pretrained, save_pretrained
from fairseq_budget.pretrained.transformers_folder import import_transformers, save_transformers
from fairseq_budget.pretrained.vocabulary import CTC
from tests.own_models import LETTERS, noise, random_checkpoint, random_recognizer
from tests.pretrained.test_transformers_folder import rewritten, theirs

transformers = pytest.importorskip("transformers")

# letters first, as community models have them; as Meta's have them
FIRST = {"E": 0, "T": 1, "A": 2, "|": 3, "[UNK]": 4, "[PAD]": 5}
LAST = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6, "A": 7}


def recogniser(folder, letters=LAST, kind="Wav2Vec2", **options):
    """A model of transformers with its processor, and the folder that both saved."""
    (folder.parent / "vocab.json").write_text(json.dumps(letters))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(folder.parent / "vocab.json", **options)
    pad = letters[options.get("pad_token", "<pad>")]
    model = theirs(folder, kind, "ForCTC", vocab_size=len(letters), pad_token_id=pad)
    special = [place for name, place in letters.items() if len(name) > 1 and place != pad]
    model.lm_head.weight.data.normal_()
    with torch.no_grad():  # no letter is the likeliest all the time
        model.lm_head.bias -= model(noise(16000)[0][None]).logits.mean((0, 1))
    model.lm_head.bias.data[special] = -100.0  # as of a trained one
    model.save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    processor = transformers.Wav2Vec2Processor(extractor, tokenizer)
    processor.save_pretrained(folder)
    return model, processor


BRACKETS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": None, "eos_token": None}


@pytest.mark.parametrize("kind", ["Hubert", "Wav2Vec2"])
@pytest.mark.parametrize(
    ("letters", "options"),
    [(LAST, {}), (FIRST, BRACKETS), (LAST, {"do_lower_case": True})],
    ids=["published", "brackets", "lower"],
)
def test_what_a_recogniser_spells_it_spells_here(letters, options, kind, tmp_path, capsys):
    model, processor = recogniser(tmp_path / "theirs", letters, kind, **options)
    words = [str(tmp_path / "theirs"), str(tmp_path / "ours"), "--source", "transformers"]
    assert import_main(words) == 0
    assert "budget_ctc" in capsys.readouterr().out
    found, [wave] = read_pretrained(tmp_path / "ours"), noise(16000)
    with torch.no_grad():
        logits = model(wave[None]).logits
    [text] = processor.batch_decode(logits.argmax(2))
    [ours] = Recognizer(found)(wave[None], torch.tensor([16000]))
    assert len(text) > 3
    assert ours == text


def test_ours_comes_back_bit_for_bit_with_its_letters(tmp_path):
    checkpoint = random_recognizer()
    save_transformers(tmp_path, checkpoint)
    found = import_transformers(tmp_path)
    assert (found.model, found.vocabulary) == (CTC, LETTERS)
    assert found.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(found.state[k], value) for k, value in checkpoint.state.items())


def test_theirs_goes_back_and_hears_the_same(tmp_path):
    model, _ = recogniser(tmp_path / "theirs", FIRST, **BRACKETS)
    save_transformers(tmp_path / "back", import_transformers(tmp_path / "theirs"))
    back, info = transformers.AutoModelForCTC.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    assert not any(info.values()), info
    [wave] = noise(8000)
    with torch.no_grad():
        torch.testing.assert_close(back.eval()(wave[None]).logits, model(wave[None]).logits)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "back")
    assert processor.tokenizer("TEA").input_ids == [1, 0, 2]


@pytest.mark.parametrize("has_vocabulary", [True, False])
def test_its_encoder_alone_is_had_on_request_or_where_no_letters_are(has_vocabulary, tmp_path):
    recogniser(tmp_path / "theirs")
    if not has_vocabulary:
        (tmp_path / "theirs" / "vocab.json").unlink()
    found = import_transformers(tmp_path / "theirs", encoder_only=has_vocabulary)
    assert (found.model, found.vocabulary) == ("budget_wav2vec2", None)
    assert not any("ctc" in name for name in found.state)


REFUSED = {
    "tokenizer is 'Wav2Vec2PhonemeCTCTokenizer'": (
        "tokenizer_config.json", {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}
    ),
    "class 3 is the blank of its loss": ("config.json", {"pad_token_id": 3}),
    "no symbol for class 7 of its 8": ("vocab.json", {"A": 70}),
    "stands there twice": ("tokenizer_config.json", {"word_delimiter_token": "E"}),
    "A is \"x\"": ("vocab.json", {"A": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_letters_that_cannot_be_read_are_told(reason, tmp_path):
    recogniser(tmp_path / "theirs")
    name, fields = REFUSED[reason]
    rewritten(tmp_path / "theirs", name, **fields)
    with pytest.raises(BudgetError, match=reason):
        import_transformers(tmp_path / "theirs")


def test_of_other_toolkits_nothing_but_the_encoder_is_read_anyway(tmp_path, capsys):
    save_pretrained(tmp_path / "ours", random_checkpoint())
    assert import_main([str(tmp_path / "ours"), str(tmp_path / "out"), "--encoder-only"]) == 2
    assert "--encoder-only with --source fairseq" in capsys.readouterr().err
