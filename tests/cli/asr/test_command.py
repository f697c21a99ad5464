"""budget-asr on a small corpus of noise: files, word errors, averages, and what is refused."""

import json

import numpy as np
import pytest
import soundfile
import torch

from fairseq_budget.asr.predictor import TransducerHead
from fairseq_budget.cli.asr.command import main
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.symbols import read_vocabulary
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, read_pretrained, save_pretrained

TINY = EncoderConfig(size="tiny", encoder_layers=1)
TEXTS = ["the dog", "a cat", "the cat"]


@pytest.fixture
def data(tmp_path):
    """Manifests of three recordings of different lengths, and a file of transcripts."""
    generator = torch.Generator().manual_seed(0)
    utterances = []
    for number in range(3):
        wave = 0.1 * torch.randn(4000 + 2000 * number, generator=generator)
        soundfile.write(tmp_path / f"{number}.wav", wave.numpy(), 16000)
        utterances.append(Utterance((Piece(f"{number}.wav"),), len(wave)))
    for split in ("train", "valid"):
        Manifest(tmp_path, utterances).write(tmp_path / "data" / f"{split}.tsv")
    (tmp_path / "data/all.wrd").write_text("\n".join(TEXTS) + "\n")
    arguments = ["--data", tmp_path / "data", "--transcripts", tmp_path / "data/all.wrd"]
    assert main(["prepare", *map(str, arguments)]) == 0
    return tmp_path / "data"


def checkpoint(folder, model: str, num_symbols: int, seed: int = 0, vocabulary=None) -> str:
    torch.manual_seed(seed)
    encoder = SpeechEncoder(TINY)
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    if model == "budget_ctc":
        head = torch.nn.Linear(128, num_symbols)
        prefix = "ctc_output.1."
    else:
        head = TransducerHead(128, num_symbols, decoder_dim=16, joiner_dim=16)
        prefix = "head."
    state |= {prefix + name: value for name, value in head.state_dict().items()}
    config = {"decoder_dim": 16, "joiner_dim": 16}
    save_pretrained(folder, Pretrained(model, TINY, config, state, vocabulary=vocabulary))
    return str(folder)


def num_symbols(data) -> int:
    return 4 + len((data / "dict.ltr.txt").read_text().splitlines())


def test_prepare_writes_letters_and_their_dictionary(data):
    assert (data / "valid.ltr").read_text().splitlines()[0] == "t h e | d o g |"
    assert (data / "dict.ltr.txt").read_text().startswith("| 6\nt 4\n")


def test_prepare_learns_word_pieces_of_the_first_split(data, tmp_path, capsys):
    (data / "valid.wrd").write_text("the dog\na cot\nthe god\n")
    (data / "train.wrd").write_text("\n".join(TEXTS) + "\n")
    arguments = ["--data", str(data), "--transcripts", str(data / "{split}.wrd")]
    assert main(["prepare", *arguments, "--word-pieces", "16"]) == 0
    symbols = [line.split()[0] for line in (data / "dict.bpe.txt").read_text().splitlines()]
    assert len(symbols) == 13  # without the model's three special symbols
    for split, texts in (("train", TEXTS), ("valid", ["the dog", "a cot", "the god"])):
        rows = (data / f"{split}.bpe").read_text().splitlines()
        assert [row.replace(" ", "").replace("▁", " ").strip() for row in rows] == texts
    assert {piece for row in rows for piece in row.split()} <= set(symbols)
    assert "ask for fewer" in refused(capsys, "prepare", *arguments, "--word-pieces", 500)


def test_prepare_names_characters_that_are_likely_slips(data, capsys):
    (data / "odd.wrd").write_text("the dog\na <Cat>\nthe cat\n")
    capsys.readouterr()
    arguments = ["--data", str(data), "--transcripts", str(data / "odd.wrd")]
    assert main(["prepare", *arguments, "--splits", "train"]) == 0
    assert "of another case than most: C;" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "row"), [("ltr", "t h e | d o g |"), ("bpe", "▁the ▁do g")])
def test_references_are_the_words_that_symbols_spell(data, tmp_path, name, row):
    (data / f"valid.{name}").write_text(f"{row}\n" * 3)
    (data / f"dict.{name}.txt").write_text("".join(f"{symbol} 1\n" for symbol in set(row.split())))
    path = checkpoint(tmp_path / "model", "budget_transducer", 4 + len(set(row.split())))
    out = ["--labels", name, "--out", str(tmp_path / "out.tsv")]
    assert main(["decode", path, "--data", str(data), *out]) == 0
    assert (tmp_path / "out.tsv").read_text().startswith("the dog\t")


@pytest.mark.parametrize("model", ["budget_ctc", "budget_transducer"])
def test_decode_counts_the_words_of_every_utterance(data, tmp_path, capsys, model):
    path = checkpoint(tmp_path / "model", model, num_symbols(data))
    assert main(["decode", path, "--data", str(data), "--out", str(tmp_path / "out.tsv")]) == 0
    assert "in 6 words" in capsys.readouterr().out
    rows = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert [reference for reference, _ in rows] == TEXTS


@pytest.mark.parametrize("options", [["--beam", "4"], []])
def test_decoding_does_not_depend_on_the_size_of_batches(data, tmp_path, options):
    path = checkpoint(tmp_path / "model", "budget_transducer", num_symbols(data))
    for batch in ("1", "3"):
        out = ["--batch", batch, "--out", str(tmp_path / batch)]
        assert main(["decode", path, "--data", str(data), *out, *options]) == 0
    assert (tmp_path / "1").read_text() == (tmp_path / "3").read_text()


def test_a_lexicon_allows_its_words_only(data, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "words").write_text("the\ndog\na\ncat\n")
    path = checkpoint(tmp_path / "model", "budget_ctc", num_symbols(data))
    out = ["--lexicon", str(tmp_path / "words"), "--out", str(tmp_path / "out.tsv")]
    assert main(["decode", path, "--data", str(data), *out]) == 0
    rows = (tmp_path / "out.tsv").read_text().splitlines()
    heard = {word for row in rows for word in row.split("\t")[1].split()}
    assert heard <= {"the", "dog", "a", "cat"}


@pytest.mark.parametrize("likely", ["dog", "cat"])
def test_a_language_model_chooses_among_the_words_of_the_lexicon(data, tmp_path, likely):
    pytest.importorskip("flashlight.lib.text")
    words = ["the", "dog", "a", "cat"]
    (tmp_path / "words").write_text("\n".join(words) + "\n")
    logs = {"<s>": -99, "</s>": -1, "<unk>": -9, **dict.fromkeys(words, -9), likely: -0.1}
    unigrams = "\n".join(f"{log}\t{word}\t0" for word, log in logs.items())
    header = f"\\data\\\nngram 1={len(logs)}\nngram 2=1\n"
    bigrams = f"-0.1\t{likely} {likely}"
    (tmp_path / "words.arpa").write_text(
        f"{header}\n\\1-grams:\n{unigrams}\n\n\\2-grams:\n{bigrams}\n\n\\end\\\n"
    )
    path = checkpoint(tmp_path / "model", "budget_ctc", num_symbols(data))
    options = ["--lexicon", "words", "--lm", "words.arpa", "--out", "out.tsv"]
    options = [x if x.startswith("-") else str(tmp_path / x) for x in options]
    weights = ["--lm-weight", "5", "--word-score", "20"]
    assert main(["decode", path, "--data", str(data), *options, *weights]) == 0
    rows = (tmp_path / "out.tsv").read_text().splitlines()
    assert {word for row in rows for word in row.split("\t")[1].split()} == {likely}


@pytest.fixture(params=["budget_ctc", "budget_transducer"])
def complete(data, tmp_path, request) -> str:
    """An exported recogniser that holds its dictionary, whose file is gone."""
    vocabulary = read_vocabulary(data, "ltr")
    (data / "dict.ltr.txt").unlink()
    return checkpoint(tmp_path / "model", request.param, len(vocabulary.symbols), 0, vocabulary)


def lines(capsys, *arguments: object) -> list[str]:
    capsys.readouterr()
    assert main(["decode", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def test_letters_are_those_of_training_whatever_order_another_dictionary_has(
    complete, data, capsys
):
    before = lines(capsys, complete, data / "valid.tsv")
    symbols = read_pretrained(complete).vocabulary.symbols[4:]
    assert len(set(symbols)) > 4
    (data / "dict.ltr.txt").write_text("".join(f"{symbol} 1\n" for symbol in symbols[::-1]))
    assert lines(capsys, complete, "--data", data) == before
    assert any(line.split("\t")[1:] != [""] for line in before[:-1])


def test_audio_without_transcripts_is_a_line_of_text_each(complete, data, tmp_path, capsys):
    speech = tmp_path / "speech"
    (speech / "b").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "b/c.flac", "b/d.wav")):
        wave = soundfile.read(tmp_path / f"{number}.wav")[0]
        soundfile.write(speech / name, np.stack([wave, wave], 1), 16000)  # two channels
    soundfile.write(speech / "short.wav", np.zeros(100), 44100)
    (speech / "bad.wav").write_bytes(b"RIFF")
    texts = [line.split("\t")[1] for line in lines(capsys, complete, data / "valid.tsv")[:-1]]
    expected = ["a.wav", "b/c.flac", "b/d.wav", "short.wav"]
    found = lines(capsys, complete, speech)
    assert found == [f"{n}\t{t}" for n, t in zip(expected, [*texts, ""], strict=True)]
    assert main(["decode", complete, str(speech)]) == 0
    assert "left out bad.wav: " in capsys.readouterr().err
    assert lines(capsys, complete, speech / "b/d.wav") == [f"{speech / 'b/d.wav'}\t{texts[2]}"]


def test_words_are_counted_of_the_recordings_that_have_transcripts(complete, tmp_path, capsys):
    (tmp_path / "x.trans.txt").write_text("1 a cat\n")
    found = json.loads("".join(lines(capsys, complete, tmp_path, "--json")))
    spoken = {row["name"]: row["reference"] for row in found["utterances"]}
    assert spoken == {"0.wav": None, "1.wav": "a cat", "2.wav": None}
    assert found["word_errors"]["num_words"] == 2
    table = tmp_path / "table.tsv"
    table.write_text("path\ttranscript\n" + "".join(f"{n}.wav\tthe dog\n" for n in range(3)))
    assert "in 6 words" in lines(capsys, complete, tmp_path, "--transcripts", table)[-1]


def test_what_cannot_be_heard_is_refused(complete, tmp_path, capsys):
    assert "nothing to hear" in refused(capsys, "decode", complete)
    assert "none.wav does not exist" in refused(capsys, "decode", complete, tmp_path / "none.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    assert "expected audio" in refused(capsys, "decode", complete, tmp_path / "bad.wav")


def test_a_checkpoint_that_holds_no_dictionary_takes_that_of_its_data_with_a_warning(
    data, tmp_path, capsys
):
    path = checkpoint(tmp_path / "model", "budget_ctc", num_symbols(data))
    assert main(["decode", path, str(data / "valid.tsv"), "--data", str(data)]) == 0
    assert "warning: " in capsys.readouterr().err
    assert "before they held their dictionary" in refused(
        capsys, "decode", path, data / "valid.tsv"
    )


def test_average_writes_a_folder_that_decodes(data, tmp_path):
    paths = [checkpoint(tmp_path / str(n), "budget_ctc", num_symbols(data), n) for n in (1, 2)]
    assert main(["average", *paths, "--out", str(tmp_path / "mean")]) == 0
    parts = [
        read_pretrained(path).state["ctc_output.1.bias"] for path in [*paths, tmp_path / "mean"]
    ]
    torch.testing.assert_close(parts[2], (parts[0] + parts[1]) / 2)
    assert main(["decode", str(tmp_path / "mean"), "--data", str(data)]) == 0


def refused(capsys, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_decoded_is_refused_with_a_cure(data, tmp_path, capsys):
    path = checkpoint(tmp_path / "model", "budget_ctc", num_symbols(data) + 1)
    assert "the dictionary of its training" in refused(capsys, "decode", path, "--data", data)
    other = tmp_path / "tera"
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(TINY).state_dict().items()}
    save_pretrained(other, Pretrained("budget_tera", TINY, {}, state))
    assert "budget_tera checkpoint recognises nothing" in refused(
        capsys, "decode", other, "--data", data
    )
    fitting = checkpoint(tmp_path / "fits", "budget_ctc", num_symbols(data))
    assert "add --lexicon" in refused(
        capsys, "decode", fitting, "--data", data, "--lm", tmp_path / "x.arpa"
    )
