"""Measuring, keeping and using what was measured."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from fairseq_budget.budget import machine as measurements
from fairseq_budget.budget.machine import (
    Prediction,
    advice,
    cache_file,
    find_machine,
    measure_machine,
    measured_peak_flops,
    measured_rows,
    predict,
    read_measurements,
    store_measurements,
)
from fairseq_budget.budget.memory import BYTES_PER_PARAMETER
from fairseq_budget.budget.timing import (
    Measurement,
    machine_name,
    measure_encoder,
    measure_peak_flops,
    precisions,
)
from fairseq_budget.budget.updates import UpdatePlan, plan_updates
from fairseq_budget.errors import BudgetError

SLIM = Measurement("slim", "fp16", 84.0, 14.0, update_s=0.5, peak_bytes=10 * 2**30)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fairseq_budget/measurements.json"


def test_the_cache_is_where_the_user_says(cache, monkeypatch):
    assert cache_file() == cache
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(cache_file()) == "/home/somebody/.cache/fairseq_budget/measurements.json"


def test_newer_measurements_replace_older_ones_and_leave_the_rest():
    store_measurements("A", {"fp32": 1e12}, [SLIM])
    store_measurements("A", {"fp16": 2e12}, [Measurement("slim", "fp32", 84.0, 14.0, 1.0, 1)])
    store_measurements("B", {"fp32": 3e12}, [])
    known = read_measurements()
    assert known["A"].peak_flops == {"fp32": 1e12, "fp16": 2e12}
    assert set(known["A"].encoders["slim"]) == {"fp16", "fp32"}
    assert find_machine("B") == ("B", known["B"])


def test_the_only_machine_serves_where_this_one_was_not_measured():
    assert find_machine() is None
    store_measurements("somewhere", {}, [])
    assert find_machine()[0] == "somewhere"
    store_measurements("elsewhere", {}, [])
    assert find_machine() is None
    store_measurements(machine_name("cpu"), {"fp32": 1e9}, [])
    assert find_machine()[0] == machine_name("cpu")
    assert measured_peak_flops("fp32", "cpu") == 1e9
    assert measured_peak_flops("fp16", "cpu") is None


def test_unknown_machine_lists_the_known_ones():
    store_measurements("A", {}, [])
    for name in ("B", ""):
        with pytest.raises(BudgetError, match="measured: 'A'"):
            find_machine(name)
    store_measurements("", {}, [])
    assert find_machine("")[0] == ""


def test_a_damaged_cache_names_the_file_and_the_cure(cache):
    cache.parent.mkdir()
    cache.write_text("{")
    with pytest.raises(BudgetError, match=r"measurements\.json .*remove the file"):
        read_measurements()


def plan(size: str, *, parameters: int = 1, updates: int = 1) -> UpdatePlan:
    row = plan_updates(
        size, flops=1e16, gpus=1, seconds_per_gpu=84, sequence_s=14, hours=None
    )  # fmt: skip
    return replace(row, parameters=parameters, updates=updates)


def test_hours_and_memory_are_scaled_to_the_batch_and_the_updates():
    store_measurements("A", {}, [SLIM])
    _, machine = find_machine("A")
    row = plan("slim", parameters=20_000_000, updates=7200)
    assert predict(machine, row, 84.0) == Prediction(1.0, 10.0, "fp16")
    half = predict(machine, row, 42.0)
    fixed = BYTES_PER_PARAMETER * 20_000_000 / 2**30
    assert half.hours == 0.5
    assert half.memory_gib == pytest.approx(fixed + (10 - fixed) / 2)


def test_predictions_are_in_the_fastest_precision_and_none_if_never_measured():
    store_measurements("A", {}, [SLIM, Measurement("slim", "fp32", 42.0, 14.0, 0.2, 1)])
    _, machine = find_machine("A")
    assert predict(machine, plan("slim"), 84.0).precision == "fp32"
    assert predict(machine, plan("base"), 84.0) == Prediction()


def test_the_fastest_precision_is_advised_with_the_reason():
    slow, fast = (
        Measurement("tiny", precision, 14.0, 14.0, seconds, 1)
        for precision, seconds in (("fp32", 1.0), ("bf16", 0.5))
    )
    store_measurements("A", {"fp32": 1e12, "bf16": 3e12}, [slow, fast, SLIM])
    _, machine = find_machine("A")
    assert advice(machine, ["tiny", "slim", "base"]) == [
        "tiny: train with common.bf16=true, 2.00 times as fast as the next "
        "(matrix products: 3.00 times fp32's)"
    ]
    store_measurements("A", {}, [replace(slow, update_s=0.4)])
    _, machine = find_machine("A")
    assert advice(machine, ["tiny"]) == ["tiny: train with float32, 1.25 times as fast as the next"]


def test_half_precision_is_measured_where_the_processor_has_it(monkeypatch):
    for has_it, kinds in ((True, ["fp32", "bf16"]), (False, ["fp32"])):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda has=has_it: has)
        assert precisions("cpu") == kinds


def test_an_update_is_measured_on_this_machine():
    found = measure_encoder(
        "tiny", "fp32", device="cpu", seconds=1.4, sequence_s=0.5, num_updates=1
    )
    assert found.audio_seconds == 1.5  # three sequences
    peak = measure_peak_flops("fp32", device="cpu", seconds=0.05)
    assert 0 < found.flops_per_second < 3 * peak


def test_a_bfloat16_update_changes_bfloat16_weights():
    found = measure_encoder("tiny", "bf16", device="cpu", seconds=1, sequence_s=0.5, num_updates=1)
    assert found.update_s > 0


def test_measuring_keeps_what_was_found_and_names_what_did_not_fit(monkeypatch, cache):
    def measure(size, precision, **options):
        if size == "large":
            return None
        return Measurement(size, precision, 14.0, 14.0, 1.0, 2**30)

    monkeypatch.setattr(measurements, "_measure_apart", measure)
    monkeypatch.setattr(measurements, "measure_peak_flops", lambda kind, device: 1e12)
    machine, left_out = measure_machine(
        ["tiny", "large"], device="cpu", seconds=14.0, sequence_s=14.0
    )
    assert left_out[0] == "large, fp32"
    row = measured_rows(machine, ["tiny", "large"])[0]
    assert row.share_of_peak == pytest.approx(14 * 0.5317e9 / 1e12, rel=1e-3)
    assert machine in json.loads(cache.read_text())


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(BudgetError, match="no device 'cuda:77'"):
        measure_machine(["tiny"], device="cuda:77", seconds=1.0, sequence_s=1.0)


@pytest.mark.slow
def test_each_measurement_runs_in_a_process_of_its_own():
    options = {"device": "cpu", "seconds": 8.0, "sequence_s": 8.0, "num_updates": 1}
    found = measurements._measure_apart("tiny", "fp32", **options)
    assert found.peak_bytes > 2**20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_half_precision_is_measured_on_a_gpu():
    found = measure_encoder("slim", "fp16", device="cuda", seconds=28, sequence_s=14)
    assert found.flops_per_second > 1e12
    assert found.peak_bytes > 2**27


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"peak_flops": {"fp32": "fast"}},
        {"peak_flops": {"fp32": 0}},
        {"encoders": {"slim": {"fp32": {"size": "slim"}}}},
        {"encoders": {"slim": {"fp16": {**asdict(SLIM), "update_s": 0}}}},
        {"encoders": {"slim": {"fp16": {**asdict(SLIM), "audio_seconds": 1e300}}}},
        {"encoders": {"slim": {"fp16": {**asdict(SLIM), "more": 1}}}},
    ],
)
def test_measurements_of_other_types_are_an_error(cache, wrong):
    cache.parent.mkdir()
    cache.write_text(json.dumps({"A": wrong}))
    with pytest.raises(BudgetError, match=r"measurements\.json .*remove the file"):
        find_machine("A")


def test_a_machine_without_a_peak_has_no_share_of_it():
    store_measurements("A", {}, [SLIM])
    assert measured_rows("A", ["slim"])[0].share_of_peak is None
