"""Models that subsample, through every test of the upstream, and in their own terms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairseq_budget.corpus.plain import read_text
from fairseq_budget.corpus.segments import write_segments
from fairseq_budget.downstream.layout import Request, make_layout
from fairseq_budget.downstream.runs import update_overrides
from fairseq_budget.frames import num_frames
from fairseq_budget.nn.config import EncoderConfig
from fairseq_budget.upstream.hubconf import budget_upstream
from tests.synthetic import write_tone_corpus
from tests.upstream.conftest import save_fresh
from tests.upstream.test_expert import (  # noqa: F401  # collected here, too, on other checkpoints
    make_waves,
    s3prl_nn,
    test_an_utterance_is_the_same_alone_and_in_a_batch,
    test_every_duration_up_to_30_s_has_all_its_frames,
    test_featurizer_takes_our_layers,
    test_gradients_flow_through_every_layer_in_training,
    test_s3prl_finds_deterministic_layers,
)

KINDS = ("average", "conv", "cif", "segments")


def save_student(folder: Path, subsample: str, **fields) -> Path:
    config = EncoderConfig(
        size="tiny", encoder_embed_dim=32, encoder_ffn_embed_dim=64, conv_dim=32, normalize=True,
        encoder_layerdrop=0.5, feature_layer_norm=False, mask_embedding=False,
        subsample=subsample, subsample_rate=3, **fields,
    )  # fmt: skip
    return save_fresh(folder, "budget_distilhubert", config)


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory) -> Path:
    return save_student(
        tmp_path_factory.mktemp("student"), request.param, upsample=request.param == "conv"
    )


def test_the_true_segments_are_there_for_python_users(exported):
    upstream = budget_upstream(str(exported)).eval()
    waves = make_waves((16000, 9000))
    out = upstream(waves)
    for row, wave in enumerate(waves):
        length = int(out["segment_lengths"][row])
        ends = out["segment_ends"][row, :length]
        assert (ends.diff() > 0).all()
        assert ends[-1] == num_frames(len(wave))
    assert out["segments"].shape[1] == int(out["segment_lengths"].max())


@pytest.mark.parametrize("kind", ["average", "cif"])
def test_segments_are_repeated_over_their_frames(kind, tmp_path):
    upstream = budget_upstream(str(save_student(tmp_path, kind))).eval()
    [wave] = make_waves((16000,))
    out = upstream([wave])
    repeated, segments = out["last_hidden_state"][0], out["segments"][0]
    changes = 1 + (repeated.diff(dim=0).abs().sum(1) > 0).sum()
    assert changes <= len(segments)
    assert torch.equal(repeated[0], segments[0])
    assert torch.equal(repeated[-1], segments[-1])


def test_the_short_sequence_is_another_protocol_and_says_so(exported, caplog):
    upstream = budget_upstream(str(exported), {"sequence": "segments"}).eval()
    out = upstream(make_waves((16000, 9000)))
    assert "another protocol" in caplog.text
    lengths = out["hidden_states_len"]
    assert all(state.shape[1] == int(lengths.max()) for state in out["hidden_states"])


@pytest.mark.parametrize("how", ["average", "concat"])
def test_a_finished_model_is_subsampled_afterwards(how, tmp_path):
    folder = str(save_student(tmp_path, "none"))
    options = {"output_subsample": how, "output_subsample_rate": 4}
    upstream, plain = budget_upstream(folder, options).eval(), budget_upstream(folder).eval()
    [wave] = make_waves((16000,))
    full = plain([wave])["last_hidden_state"]
    short = upstream([wave])["last_hidden_state"]
    assert upstream.get_downsample_rates("hidden_states") == 1280
    assert short.shape == (1, 13, 32 if how == "average" else 128)
    expected = full[0, 4:8].mean(0) if how == "average" else full[0, 4:8].flatten()
    torch.testing.assert_close(short[0, 1], expected)


def test_given_segments_are_found_by_the_audio_itself(tmp_path, caplog):
    write_tone_corpus(tmp_path / "data", 3).write(tmp_path / "data/train.tsv")
    corpus = read_text(tmp_path / "data/train.tsv")
    last = num_frames(corpus.sizes)
    ends = [[10, last[0]], [3, last[1]], [7, 20, last[2]]]
    write_segments(corpus.path, ends, kind="table")
    folder = save_student(tmp_path / "student", "segments")
    upstream = budget_upstream(str(folder), {"segments": str(tmp_path / "data")}).eval()
    waves = [torch.from_numpy(corpus.read(index)) for index in (2, 1)]
    out = upstream(waves)
    assert out["segment_ends"].tolist() == [[7, 20, last[2]], [3, last[1], last[1]]]
    assert not caplog.records
    upstream(make_waves((16000,)))
    assert "is in no manifest" in caplog.text


@pytest.mark.slow
@pytest.mark.s3prl
@pytest.mark.parametrize("sequence", ["frames", "segments"])
def test_s3prl_runs_with_each_student(sequence, digits, exported, tmp_path, s3prl):
    request = Request("ic", str(digits), train="take=2-7", test="take=0-1")
    layout = make_layout(request, tmp_path / "data")
    (tmp_path / "options.yaml").write_text(f"sequence: {sequence}\n")
    upstream = ["-u", "budget_upstream", "-k", str(exported), "-g", "options.yaml", "-p", "out"]
    code, said = s3prl(*layout.command(upstream, update_overrides(2)), cwd=tmp_path)
    assert code == 0, said
    assert (tmp_path / "out/log.log").read_text().splitlines()[-1].startswith("test at step 2: ")
