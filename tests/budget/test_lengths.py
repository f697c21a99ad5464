"""FLOPs and memory against length: the paper's numbers."""

from __future__ import annotations

import pytest

from fairseq_budget.budget.lengths import plan_length


def test_forward_flops_of_wav2vec2_base():
    rows = [plan_length("base", "wav2vec2", length_s=s, batch=1) for s in (1, 5, 10, 15)]
    found = [row.forward_gflops for row in rows]
    assert found == pytest.approx([13.8, 71.7, 148, 229], rel=2e-3)
    long, short = (plan_length("base", "tera", length_s=s, batch=1) for s in (15.8, 1.1))
    assert long.forward_gflops / short.forward_gflops == pytest.approx(15.9, abs=0.05)


def test_flops_grow_with_the_batch_and_heads_come_on_top():
    one, four = (plan_length("slim", "hubert", length_s=5, batch=b) for b in (1, 4))
    for key in ("forward_gflops", "head_gflops", "update_tflops"):
        assert getattr(four, key) == pytest.approx(4 * getattr(one, key))
    assert one.update_tflops == pytest.approx(3e-3 * one.forward_gflops)
    assert 0 < one.head_gflops < 0.01 * one.forward_gflops
