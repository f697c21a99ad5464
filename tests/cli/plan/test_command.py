"""budget-plan as users type it."""

import pytest

from fairseq_budget.budget import machine as measurements
from fairseq_budget.budget.timing import Measurement, machine_name
from fairseq_budget.cli.plan.command import main
from fairseq_budget.sizes import SIZES
from tests.cli.plan.printed import rows

pytestmark = pytest.mark.slow

PAPER = ["updates", "--flops", "1.33e18", "--gpus", "2", "--seconds-per-gpu", "78.03",
         "--hours", "960"]  # fmt: skip


def test_params_lists_every_size_as_json(capsys):
    found = rows(capsys, "params", "--objective", "tera")
    assert [row["size"] for row in found] == list(SIZES)
    assert {row["size"]: row["paper"] for row in found}["base"] == 94_458_318


def test_params_of_one_size_as_a_table(capsys):
    main(["params", "--size", "slim"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "19,816,270" in lines[2]
    assert "19,842,894" in lines[2]


def test_params_of_hubert_take_its_head_and_extractor_mode(capsys):
    words = ["params", "--objective", "hubert", "--size", "large"]
    (plain,) = rows(capsys, *words)
    (normed,) = rows(capsys, *words, "--extractor-mode", "layer_norm")
    (linear,) = rows(capsys, "params", "--objective", "hubert", "--size", "base", "--head",
                     "linear")  # fmt: skip
    found = [row["parameters"] for row in (plain, normed, linear)]
    assert found == [316_603_264, 316_609_408, 94_759_288]


def test_params_lists_zipformers_with_k2ssls_counts(capsys):
    found = rows(capsys, "params", "--objective", "hubert", "--head", "linear")
    counts = {row["size"]: row["parameters"] for row in found}
    assert list(counts) == list(SIZES)
    assert counts["zipformer_base"] == 94_561_917
    assert counts["zipformer_large"] == 305_938_464


def test_updates_of_zipformers_stand_beside_those_of_transformers(capsys):
    slim, small = rows(capsys, *PAPER, "--size", "slim", "zipformer_small")
    assert small["gflops_per_audio_second"] < slim["gflops_per_audio_second"]
    assert small["updates"] > slim["updates"]
    assert small["lr"] is small["paper_updates"] is None
    assert "The study ran no Zipformer" in slim["recommendation"]


def test_updates_of_the_papers_budget(capsys):
    slim, base = rows(capsys, *PAPER, "--size", "slim", "base")
    assert slim["updates"] == 399_981
    assert base["updates"] == pytest.approx(187_222, rel=0.002)


def test_updates_of_several_objectives_are_as_many_rows(capsys):
    found = rows(capsys, *PAPER, "--objective", "hubert", "wav2vec2", "--size", "slim", "base")
    assert [(row["objective"], row["size"]) for row in found] == [
        ("hubert", "slim"), ("hubert", "base"), ("wav2vec2", "slim"), ("wav2vec2", "base"),
    ]  # fmt: skip
    assert found[3]["lr"] == 2e-4


def test_one_row_of_each_objective_is_recommended_with_a_reason(capsys):
    found = rows(capsys, *PAPER, "--objective", "tera", "hubert")
    chosen = [row for row in found if row["recommendation"]]
    assert [(row["objective"], row["size"]) for row in chosen] == [
        ("tera", "slim_200"),
        ("hubert", "slim_200"),
    ]


def test_the_table_says_what_is_left_out_and_what_was_never_measured(capsys):
    main(PAPER)
    text = capsys.readouterr().out
    assert "recommended for tera: slim_200" in text
    assert "not counted: heads and quantizer" in text
    assert "unknown until `budget-plan measure`" in text
    small = next(line for line in text.splitlines() if line.startswith("| small "))
    assert "417,018" in small
    assert "400,000" in small


def test_hours_and_memory_follow_from_a_measurement(capsys):
    name = machine_name("cpu")
    found = Measurement("slim", "fp32", 78.03, 14.0, update_s=0.9, peak_bytes=8 * 2**30)
    measurements.store_measurements(name, {"fp32": 1e12}, [found])
    slim, base = rows(capsys, *PAPER, "--size", "slim", "base")
    assert slim["hours"] == pytest.approx(399_981 * 0.9 / 3600)
    assert slim["memory_gib"] == pytest.approx(8.0)
    assert base["hours"] is None
    main(PAPER)
    assert f"from measurements on {name}" in capsys.readouterr().out


def test_overrides_are_one_line_for_each_size(capsys):
    assert main([*PAPER, "--size", "slim", "base", "--overrides", "--objective", "hubert"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "model.size=slim optimization.max_update=399981 optimization.lr=[0.0005] "
        "lr_scheduler.warmup_updates=31998",
        "model.size=base optimization.max_update=187061 optimization.lr=[0.0003] "
        "lr_scheduler.warmup_updates=14965",
    ]


def test_every_plan_takes_an_encoder_with_a_field_of_its_own(capsys):
    names = ["slim", "slim,frontend=logmel"]
    plain, mel = rows(capsys, *PAPER, "--size", *names)
    assert mel["gflops_per_audio_second"] < 0.32 * plain["gflops_per_audio_second"]
    assert mel["updates"] > 3.1 * plain["updates"]
    plain, mel = rows(capsys, "params", "--size", *names)
    convolutions = 10 * 512 + 4 * 3 * 512**2 + 2 * 2 * 512**2 + 2 * 512  # and the norm
    assert plain["parameters"] - mel["parameters"] == convolutions - (160 + 1) * 512
    plain, mel = (rows(capsys, "length", "--size", name, "--batch", "1")[0] for name in names)
    assert mel["forward_gflops"] < 0.32 * plain["forward_gflops"]
    assert mel["fp32_gib"] < plain["fp32_gib"]
    plain, mel = (rows(capsys, "macs", "--size", name)[1] for name in names)
    assert mel["gmacs"] - mel["body_gmacs"] < 0.1 * mel["gmacs"] < plain["gmacs"]
    assert mel["body_gmacs"] == plain["body_gmacs"]


def test_overrides_have_the_fields_of_an_encoders_name(capsys):
    assert main([*PAPER, "--size", "slim,frontend=logmel", "--overrides"]) == 0
    assert "model.size=slim model.frontend=logmel optimiz" in capsys.readouterr().out


def test_a_size_that_is_none_is_told_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["params", "--size", "slimm"])
    assert "did you mean slim" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["macs", "--size", "zipformer_tiny"])
    assert "expected one of tiny, slim_30" in capsys.readouterr().err


def test_overrides_are_of_one_objective(capsys):
    assert main([*PAPER, "--overrides", "--objective", "hubert", "tera"]) == 2
    assert "name one" in capsys.readouterr().err


def test_measure_prints_what_it_keeps(capsys, monkeypatch):
    def measure(size, precision, **options):
        return None if size == "base" else Measurement(size, precision, 14.0, 14.0, 1.0, 2**30)

    monkeypatch.setattr(measurements, "_measure_apart", measure)
    monkeypatch.setattr(measurements, "measure_peak_flops", lambda kind, device: 1e12)
    assert main(["measure", "--size", "slim", "base", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert "| slim | fp32 " in out
    assert "base, fp32: left out, 14 s do not fit into memory" in err
    row = rows(capsys, "measure", "--size", "slim", "--device", "cpu")[0]
    assert row["tflops_per_second"] == pytest.approx(14 * 21.307e9 / 1e12, rel=1e-3)


def test_unknown_machine_is_one_line(capsys):
    assert main([*PAPER, "--machine", "no such"]) == 2
    assert "no measurements of 'no such'" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1e18", "nan", "inf"])
def test_a_budget_is_a_positive_number(capsys, value):
    with pytest.raises(SystemExit):
        main(["updates", f"--flops={value}"])
    assert "no positive number" in capsys.readouterr().err


def test_unknown_size_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["params", "--size", "huge"])
    assert "slim_30" in capsys.readouterr().err
