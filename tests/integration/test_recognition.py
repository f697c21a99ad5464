"""What users type for speech recognition: prepare, fine-tune, interrupt, go on, decode."""

import re
import shutil

import pytest
import soundfile
import torch

from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.symbols import read_vocabulary
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.pretrained import Pretrained, read_pretrained, save_pretrained
from tests.conftest import ROOT, on_two_processes, run

pytestmark = [pytest.mark.fairseq, pytest.mark.slow]
pytest.importorskip("fairseq")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Six recordings of noise, and transcripts for them, prepared by the commands."""
    folder = tmp_path_factory.mktemp("asr")
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 4), ("valid", 2)):
        (folder / split).mkdir()
        for number in range(count):
            wave = 0.1 * torch.randn(16000 + 1600 * number, generator=generator)
            soundfile.write(folder / split / f"{split}{number}.wav", wave.numpy(), 16000)
    names = [f"train{n}" for n in range(4)] + [f"valid{n}" for n in range(2)]
    rows = [f"{name}.wav\tthe {'dog' if 't' in name else 'god'}" for name in names]
    (folder / "all.tsv").write_text("\n".join(["path\ttranscript", *rows]) + "\n")
    run("budget-manifest", "--trainpref", folder / "train", "--validpref", folder / "valid",
        "--destdir", folder / "data")  # fmt: skip
    prepare = ["budget-asr", "prepare", "--data", folder / "data", "--transcripts"]
    run(*prepare, folder / "all.tsv")
    run(*prepare, folder / "all.tsv", "--word-pieces", 12)
    return folder / "data"


def finetune_command(preset, data, save_dir, num_updates: int, *overrides, config_dir="examples/"):
    return [
        "fairseq-hydra-train", "--config-dir", config_dir, "--config-name", preset,
        f"task.data={data}", f"checkpoint.save_dir={save_dir}", "common.user_dir=fairseq_budget",
        f"optimization.max_update={num_updates}", "lr_scheduler.total_num_update=100",
        "lr_scheduler.warmup_updates=2", "common.log_format=simple", "dataset.num_workers=0",
        *overrides,
    ]  # fmt: skip


def finetune(*words, **options) -> str:
    done = run(*finetune_command(*words, **options))
    return done.stdout + done.stderr


@pytest.mark.parametrize(("objective", "labels"), [("ctc", "ltr"), ("transducer", "bpe")])
def test_a_run_that_stops_goes_on_and_decodes_without_fairseq(spoken, tmp_path, objective, labels):
    preset, mean = f"budget_{objective}_demo", "task.mean_interval=1"
    finetune(preset, spoken, tmp_path, 2, mean)
    assert "num_updates 4" in finetune(preset, spoken, tmp_path, 4, mean)
    checkpoint = tmp_path / "checkpoint_last.pt"
    assert torch.load(checkpoint, weights_only=True)["task_state"]["weights_count"] == 4
    run("budget-asr", "average", checkpoint, "--running", "--out", tmp_path / "mean")
    for model in (checkpoint, tmp_path / "mean"):
        done = run("budget-asr", "decode", model, spoken.parent / "valid", "--transcripts",
                   spoken / f"valid.{labels}")  # fmt: skip
        assert "in 4 words" in done.stdout
        vocabulary = read_pretrained(model).vocabulary
        assert vocabulary == read_vocabulary(spoken, labels)
        assert (vocabulary.word_pieces is not None) == (labels == "bpe")


def test_two_processes_stop_are_killed_and_go_on(spoken, tmp_path):
    options = ["task.mean_interval=1", "dataset.batch_size=1", "checkpoint.save_interval_updates=1"]

    def legs(folder, num_updates):
        return on_two_processes(
            finetune_command("budget_ctc_demo", spoken, tmp_path / folder, num_updates, *options)
        )

    def end(folder, num_updates):
        ended = [process.wait() for process in legs(folder, num_updates)]
        assert [done.returncode for done in ended] == [0, 0], ended
        return torch.load(tmp_path / folder / "checkpoint_last.pt", weights_only=True)

    whole = end("whole", 5)
    end("two", 1)
    first, second = legs("two", 5)
    first.kill_once(tmp_path / "two/checkpoint_2_3.pt")
    second.kill()
    resumed = end("two", 5)
    vocabularies = [state["task_state"].pop("vocabulary") for state in (resumed, whole)]
    assert vocabularies[0] == vocabularies[1]
    for key in ("model", "last_optimizer_state", "task_state"):
        torch.testing.assert_close(resumed[key], whole[key], rtol=0, atol=0)


def test_scaled_adam_trains_on_joined_utterances_in_bfloat16(spoken, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(spoken, data)
    manifest = Manifest.read(data / "train.tsv")
    joined = Utterance((Piece("train0.wav", 0, 16000), Piece("train1.wav", 0, 8000)), 24000)
    Manifest(manifest.root, [joined, *manifest.utterances]).write(data / "train.tsv")
    (data / "all.wrd").write_text("the dog the dog\n" + "the dog\n" * 4)
    run("budget-asr", "prepare", "--data", data, "--splits", "train",
        "--transcripts", data / "all.wrd")  # fmt: skip
    log = run(
        "fairseq-hydra-train", "--config-dir", "examples/", "--config-name",
        "budget_ctc_librispeech", "+task.user_dir=fairseq_budget", f"task.data={data}",
        "model.pretrained=null", "model.size=tiny", f"checkpoint.save_dir={tmp_path}",
        "optimization.max_update=3", "dataset.num_workers=0", "common.log_format=simple",
    ).stdout  # fmt: skip
    assert "num_updates 3" in log


def test_fairseqs_own_task_trains_ctc_on_a_pretrained_encoder(spoken, tmp_path):
    config = EncoderConfig(size="tiny", encoder_layers=1)
    state = {f"encoder.{k}": v for k, v in SpeechEncoder(config).state_dict().items()}
    save_pretrained(tmp_path / "tera", Pretrained("budget_tera", config, {}, state))
    preset = (ROOT / "examples/budget_ctc_demo.yaml").read_text()
    preset = preset.replace("budget_finetuning\n  user_dir: null", "audio_finetuning")
    preset = re.sub(r"  mean_interval: .*\n", "", preset)
    (tmp_path / "stock.yaml").write_text(preset)
    pretrained = f"model.pretrained={tmp_path / 'tera'}"
    log = finetune("stock", spoken, tmp_path, 2, pretrained, config_dir=tmp_path)
    assert "num_updates 2" in log
