"""Segments: pooling, expanding, masks and labels, for all four ways of making them."""

import pytest
import torch

from fairseq_budget.errors import BudgetError
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.nn.encoder import SpeechEncoder
from fairseq_budget.nn.lengths import padding_mask
from fairseq_budget.nn.subsample import (
    GivenSegments,
    RegularSegments,
    Subsampler,
    WeightedSegments,
    target_alphas,
)
from tests.nn.test_encoder import waves

KINDS = ["average", "conv", "cif", "segments"]


def student(kind: str, rate: float = 3.0, **overrides) -> SpeechEncoder:
    torch.manual_seed(0)
    config = EncoderConfig(size="tiny", subsample=kind, subsample_rate=rate, **overrides)
    encoder = SpeechEncoder(config).eval()
    if kind == "cif":  # alphas that vary
        torch.nn.init.normal_(encoder.subsampler.cif.proj.weight, std=0.5)
    return encoder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upsample", [False, True])
def test_an_utterance_does_not_depend_on_its_batch_mates(kind, upsample):
    encoder = student(kind, upsample=upsample)
    batch, lengths = waves(16000, 9000, 800, 400)
    ends = torch.tensor([[5, 20, 49], [1, 27, 27], [2, 2, 2], [1, 1, 1]])
    together = encoder(batch, lengths, segment_ends=ends)
    for row, length in enumerate(lengths.tolist()):
        own = ends[row : row + 1, : 1 + int((ends[row].diff() > 0).sum())]
        alone = encoder(batch[row : row + 1, :length], segment_ends=own).output
        valid = together.output[row, : alone.shape[1]]
        torch.testing.assert_close(valid, alone[0], atol=1e-4, rtol=1e-4)
        rest = together.output_padding[row]
        assert int((~rest).sum()) == alone.shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_upsampling_gives_a_frame_for_a_frame(kind):
    batch, lengths = waves(16000, 9000)
    out = student(kind, upsample=True)(batch, lengths)
    assert out.output.shape[1] == num_frames(16000)
    assert out.last_hidden_state.shape[1] < out.output.shape[1]


def test_average_pools_what_is_there_in_the_last_window():
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 9.0, 9.0]]).unsqueeze(2)
    mask = padding_mask(torch.tensor([5, 3]), 5)
    pooled = RegularSegments(x, mask, 2).pool(x).squeeze(2)
    assert pooled.tolist() == [[1.5, 3.5, 5.0], [1.5, 3.0, 0.0]]


def test_frames_are_counted_exactly_in_half_precision():
    x = torch.zeros(2, 749, 1, dtype=torch.bfloat16)  # which has no 749 and no 523
    segments = RegularSegments(x, padding_mask(torch.tensor([749, 523]), 749), 2)
    assert segments.num_frames().tolist() == [749, 523]
    assert segments.ends()[:, -1].tolist() == [749, 523]


def test_given_segments_are_averaged():
    x = torch.arange(10.0).view(1, 10, 1)
    segments = GivenSegments(torch.tensor([[1, 4, 10]]), None, 10)
    assert segments.pool(x).flatten().tolist() == pytest.approx([0.0, 2.0, 6.5])
    assert segments.frame_index()[0].tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert segments.lengths.tolist() == [3]


def test_alphas_of_given_ends_fire_exactly_there():
    ends = torch.tensor([[3, 10, 11, 18], [7, 14, 14, 14]])
    mask = padding_mask(torch.tensor([18, 14]), 18)
    segments = WeightedSegments(target_alphas(ends, 18), mask)
    assert segments.lengths.tolist() == [4, 2]
    torch.testing.assert_close(segments.ends(), ends.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["average", "cif", "segments"])
def test_expanding_repeats_each_segment_over_its_frames(kind):
    encoder = student(kind)
    batch, lengths = waves(16000, 9000)
    segments = encoder(batch, lengths).segments
    numbers = torch.arange(float(segments.size)).expand(2, -1).unsqueeze(2)
    expanded = segments.expand(numbers).squeeze(2)
    for row, frames in enumerate(num_frames(lengths).tolist()):
        own = expanded[row, :frames]
        assert (own.diff() >= 0).all()
        assert own[0] == 0
        assert own[-1] == segments.lengths[row] - 1


def test_a_segment_is_hidden_with_half_of_its_frames():
    x = torch.zeros(1, 8, 1)
    segments = RegularSegments(x, None, 4)
    mask = torch.tensor([[0, 0, 1, 1, 0, 1, 0, 0]], dtype=torch.bool)
    assert segments.pool_mask(mask).tolist() == [[True, False]]


def test_the_label_that_lasts_longest_is_the_segments():
    x = torch.zeros(1, 7, 1)
    segments = RegularSegments(x, None, 4)
    labels = torch.tensor([[3, 5, 5, 2, 7, 7, 2]])
    assert segments.pool_labels(labels, 9).tolist() == [[5, 7]]


def test_hiding_a_frame_hides_its_segment_and_nothing_else():
    encoder = student("average", rate=4)
    batch, _ = waves(16000)
    mask = torch.zeros(1, num_frames(16000), dtype=torch.bool)
    mask[:, 8:16] = True
    assert encoder(batch, mask_indices=mask).masked[0].nonzero().flatten().tolist() == [2, 3]


def test_teachers_pooled_by_constants_send_no_gradient_to_alphas():
    alphas = torch.rand(1, 30, requires_grad=True)
    segments = WeightedSegments(alphas, None)
    x = torch.randn(1, 30, 2)
    assert segments.pool(x).requires_grad
    assert not segments.detached().pool(x).requires_grad


@pytest.mark.parametrize(
    ("kind", "rate"), [("average", 0), ("average", 2.5), ("conv", 1.5), ("cif", 0.5), ("cif", 51)]
)
def test_a_rate_that_makes_no_segments_is_an_error(kind, rate):
    with pytest.raises(BudgetError, match=r"model\.subsample_rate="):
        Subsampler(kind, rate, 8)


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(BudgetError, match="average, conv, cif, segments"):
        SpeechEncoder(EncoderConfig(size="tiny", subsample="pool"))


def test_the_students_parameters_are_the_papers():
    def count(kind: str, rate: float) -> int:
        config = EncoderConfig(
            size="base",
            encoder_layers=2,
            feature_layer_norm=False,
            mask_embedding=False,
            subsample=kind,
            subsample_rate=rate,
            upsample=kind == "conv",
        )
        with torch.device("meta"):
            return sum(p.numel() for p in SpeechEncoder(config).parameters())

    assert count("none", 1) == count("average", 4) == count("segments", 4) == 23_491_200
    assert count("conv", 2) == 25_196_416
    assert count("conv", 4) == 26_900_352
    assert count("cif", 4) == pytest.approx(24.81e6, abs=0.01e6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_finds_the_segments_of_float32(dtype):
    torch.manual_seed(0)
    subsampler = Subsampler("cif", 3.0, 16).eval()
    x = torch.randn(2, 60, 16)
    _, exact = subsampler(x, None)
    _, found = subsampler.to(dtype)(x.to(dtype), None)
    assert (exact.lengths - found.lengths).abs().max() <= 1
