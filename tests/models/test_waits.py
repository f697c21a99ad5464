"""How often the host waits for its GPU in an update, counted on a device that is not there."""

from collections import Counter

import pytest
import torch

from fairseq_budget.optim.scaled_adam import ScaledAdam
from tests.fake_device import DEVICE, to_device, waits
from tests.models.test_distilhubert import distilhubert, teacher_folder  # noqa: F401
from tests.models.test_distilhubert import inputs as heard
from tests.models.test_objectives import batch_of, criterion_of, hubert, hubert_inputs, wav2vec2
from tests.models.test_recognizers import build, sample
from tests.models.test_recognizers import criterion_of as recognition
from tests.models.test_tera import net_input, tera

pytestmark = pytest.mark.fairseq

PADDED, CROPPED = (8000, 6000), (8000, 8000)
THE_SHAPE_OF_CIF = "aten._to_copy.default in subsample.py: self._known"
THE_MASKED_SEGMENTS = "aten.nonzero.default in _base.py: return out.masked"
THE_SEED = "aten._to_copy.default in _recognizer.py: lengths ="
THE_KIND_OF_PADDING = "aten._local_scalar_dense.default in _recognizer.py: if num_samples"


def update(model, criterion, batch, optimizer=None) -> list[str]:
    """Waits of a second update: forward, loss, backward, optimizer."""
    from fairseq_budget.optimizers.adam import FusedAdam

    on_device = {"net_input", "target", "target_lengths"} & batch.keys()
    with waits() as found:
        batch = {**batch, **to_device({name: batch[name] for name in on_device})}
        model.to(DEVICE)
        optimizer = (optimizer or FusedAdam)(model.parameters(), lr=1e-3)
        for _ in range(2):
            found.clear()
            optimizer.zero_grad()
            loss, _, _ = criterion(model, batch)
            loss.backward()
            optimizer.step()
    return found


def pretraining(objective: str, lengths: tuple, **fields):
    make, criterion, inputs = {
        "tera": (tera, "budget_reconstruction", net_input),
        "hubert": (hubert, "budget_masked_prediction", hubert_inputs),
        "wav2vec2": (wav2vec2, "budget_contrastive", net_input),
    }[objective]
    return make(**fields), criterion_of(criterion), batch_of(inputs(*lengths))


@pytest.mark.parametrize("lengths", [PADDED, CROPPED], ids=["padded", "cropped"])
@pytest.mark.parametrize("objective", ["tera", "hubert", "wav2vec2"])
def test_an_update_of_pretraining_never_waits(objective, lengths):
    altered = {"channel_mask_width": 0.2, "noise_prob": 0.5} if objective == "tera" else {}
    assert update(*pretraining(objective, lengths, **altered)) == []


def test_an_update_of_a_zipformer_by_scaled_adam_never_waits():
    assert update(*pretraining("hubert", PADDED, size="zipformer_tiny"), ScaledAdam) == []


@pytest.mark.parametrize("subsample", ["none", "average", "conv"])
def test_an_update_of_distillation_never_waits(teacher_folder, subsample):  # noqa: F811
    model = distilhubert(teacher_folder, subsample=subsample)
    for lengths in (PADDED, CROPPED):
        assert update(model, criterion_of("budget_distillation"), batch_of(heard(*lengths))) == []


def test_cif_waits_once_for_the_number_of_its_segments(teacher_folder):  # noqa: F811
    model = distilhubert(teacher_folder, subsample="cif")
    found = update(model, criterion_of("budget_distillation"), batch_of(heard(*PADDED)))
    assert_waits(found, THE_SHAPE_OF_CIF)


@pytest.mark.parametrize("subsample", ["average", "cif"])
def test_masked_segments_are_waited_for_once(subsample):
    expected = [THE_SHAPE_OF_CIF] * (subsample == "cif") + [THE_MASKED_SEGMENTS]
    assert_waits(update(*pretraining("hubert", PADDED, subsample=subsample)), *expected)


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
def test_recognisers_wait_for_the_lengths_from_which_they_draw(kind):
    """torch's own CTC copies both kinds of lengths to the host besides, on a real GPU."""
    lengths = torch.tensor([9000, 6000])
    ours = {**sample(), "net_input": {**sample()["net_input"], "num_samples": lengths}}
    assert_waits(update(build(kind), recognition(kind), ours), THE_SEED)
    found = update(build(kind), recognition(kind), sample())
    assert_waits(found, THE_KIND_OF_PADDING, THE_SEED)


def test_the_logs_of_an_update_are_read_in_one_copy():
    from fairseq_budget.tasks._logs import bring_to_host

    model, criterion, batch = pretraining("hubert", PADDED)
    with waits() as found:
        batch["net_input"] = to_device(batch["net_input"])
        _, _, log = criterion(model.to(DEVICE), batch)
        read = {**log}
        found.clear()
        bring_to_host([read])
        assert len(found) == 1
        assert read == {name: float(value) for name, value in log.items()}


def test_the_device_counts_what_waits_and_nothing_else():
    with waits() as found:
        x = to_device(torch.arange(4.0))
        y = (x * 2 + torch.ones(4, device=DEVICE)).sum()
        torch.full((2,), 3.0, device=DEVICE)
        torch.ones(2).to(DEVICE, non_blocking=True)
        assert found == []
        values = [y.item(), float(y), y.tolist(), x[x > 2].to("cpu").tolist(), x.new_tensor(5.0)]
        torch.tensor([1.0], device=DEVICE)
    assert values[:4] == [16.0, 16.0, 16.0, [3.0]]
    assert Counter(line.split()[0] for line in found) == {
        "aten._local_scalar_dense.default": 2, "aten.index.Tensor": 1, "aten._to_copy.default": 4,
    }  # fmt: skip


def assert_waits(found: list[str], *expected: str) -> None:
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found
