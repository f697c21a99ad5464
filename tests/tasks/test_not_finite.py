"""NaN and inf end in one line: where, in which utterances, what to go on from, likely causes."""

import pytest
import torch

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.run.record import Batch, read_record
from tests.conftest import run, train_command
from tests.synthetic import write_tone_corpus

pytestmark = pytest.mark.fairseq


def root(folder):
    from omegaconf import OmegaConf

    return OmegaConf.create(
        {
            "optimization": {"lr": [0.5], "clip_norm": 0.0},
            "checkpoint": {"save_dir": str(folder)},
            "common": {"fp16": False},
            "dataset": {"train_subset": "train"},
            "distributed_training": {"distributed_rank": 0},
        }
    )


@pytest.fixture
def loud(tmp_path):
    """A batch whose third utterance is 1e30 times too loud."""
    from fairseq_budget.data.audio_dataset import BudgetAudioDataset
    from fairseq_budget.nn.masking import Masking

    write_tone_corpus(tmp_path, 4, extensions=("wav",)).write(tmp_path / "train.tsv")
    corpus = read_text(tmp_path / "train.tsv")
    data = BudgetAudioDataset(
        corpus, seed=1, max_sample_size=8000, masking=Masking(prob=0.8, length=5)
    )
    batch = data.collater([data[i] for i in range(4)])
    batch["net_input"]["source"].view(torch.float32)[2] *= 1e30
    return corpus.name(2), batch


def tera_and_criterion():
    from fairseq_budget.criterions._base import BudgetCriterionConfig
    from fairseq_budget.criterions.reconstruction import BudgetReconstructionCriterion
    from tests.models.test_tera import tera

    return tera(), BudgetReconstructionCriterion(BudgetCriterionConfig(), task=None)


def test_a_loss_that_is_nan_though_gradients_are_finite_names_the_loud_file(loud, tmp_path):
    from fairseq_budget.tasks._heard import Heard
    from fairseq_budget.tasks._not_finite import FiniteNumbers

    name, batch = loud
    model, criterion = tera_and_criterion()
    heard = Heard(root(tmp_path))
    numbers = FiniteNumbers(root(tmp_path), heard)
    for update in (None, 7):
        heard.add(batch, model, criterion, update)
        _, _, log = criterion(model, batch)
        with pytest.raises(BudgetError) as caught:
            numbers.check([log])
        line = str(caught.value)
        assert line.startswith("validation" if update is None else "update 8")
        assert f"is NaN or infinite, in {name} from {batch['starts'][2] / 16000:.2f} s (pea" in line
        assert "Likely causes: a recording that is far too loud" in line
        assert "optimization.lr=[0.5]" in line
        assert "clip_norm=0" in line
        assert "\n" not in line
    record = read_record(tmp_path / "trouble/update_8.json")  # none of validation
    assert (record.update, record.split) == (8, "train")
    assert record.batches == [Batch(1, [0, 1, 2, 3], batch["utterances"])]
    assert line.startswith(record.said)
    assert f"budget-report replay {tmp_path}/trouble/update_8.json" in line


def test_the_last_good_checkpoint_is_the_newest_whole_one_of_finite_weights(tmp_path):
    from fairseq_budget.run.recovery import last_good

    assert last_good(tmp_path) is None
    for place, value in enumerate((1.0, 2.0, torch.nan)):
        state = {"model": {"w": torch.tensor([value])}}
        torch.save(state, tmp_path / f"checkpoint{place}.pt")
    torch.save([1.0], tmp_path / "checkpoint_of_others.pt")
    (tmp_path / "checkpoint_last.pt").write_bytes(b"torn")
    assert last_good(tmp_path) == tmp_path / "checkpoint1.pt"


def test_fairseqs_detector_is_taken_off_and_other_hooks_stay():
    from fairseq.nan_detector import NanDetector

    from fairseq_budget.tasks._not_finite import detach_detector
    from tests.models.test_tera import net_input

    model, _ = tera_and_criterion()
    seen = []
    model.head.register_forward_hook(lambda *_: seen.append(1))
    assert not detach_detector(model)
    with NanDetector(model):
        assert detach_detector(model)
        model(**net_input(8000, 8000))["prediction"].sum().backward()
    assert seen == [1]


def test_a_rate_that_is_far_too_high_ends_in_one_line(data, tmp_path):
    command = train_command(data, tmp_path, "optimization.lr=[1e6]", "model.size=tiny")
    command += ["dataset.disable_validation=true", "checkpoint.save_interval_updates=1"]
    done = run(*command, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fairseq-hydra-train: error: update ")
    for words in (
        "encoder.",
        " from ",
        f"good checkpoint is {tmp_path}/checkpoint_",
        "lr=[1000000",
    ):
        assert words in last
