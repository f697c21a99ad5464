"""Runs that were stored stand for themselves, as long as they are what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairseq_budget.downstream.layout import Layout, Request
from fairseq_budget.downstream.runs import Protocol, Result, Run, Upstream
from fairseq_budget.pretrained import save_pretrained
from tests.own_models import random_checkpoint

STORED = {
    "task": "ic", "upstream": "a", "seed": 0, "learning_rate": None, "update": 5, "valid": 0.5,
    "test": 0.75, "others": {}, "layer_weights": [0.25, 0.75], "wall_s": 1.0,
}  # fmt: skip
COUNTS = {"train": 2, "valid": 1, "test": 1}


class Runner:
    def run(self, *_: object) -> int:
        raise InterruptedError("trains")


def result(folder: Path, **changes: Any) -> Result:
    run = Run(Layout(folder, Request("ic", "audio"), COUNTS, {}, 0), Upstream("a"), 0, folder)
    content = {**STORED, "key": run.key(), **changes}
    (folder / "result.json").write_text(json.dumps(content))
    return run.result(Runner())  # type: ignore[arg-type]


def test_a_stored_result_stands_for_its_run(tmp_path: Path) -> None:
    assert result(tmp_path).test == 0.75


@pytest.mark.parametrize(
    "wrong",
    [{"test": 4.55}, {"valid": -1}, {"test": "0.75"}, {"update": None}, {"upstream": "b"},
     {"seed": 1}, {"key": {}}],
)  # fmt: skip
def test_a_result_that_is_none_is_made_again(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InterruptedError):
        result(tmp_path, **wrong)


def test_a_result_on_other_recordings_is_made_again(tmp_path: Path) -> None:
    def run(sources: str | None) -> Run:
        layout = Layout(tmp_path, Request("ic", "audio"), COUNTS, {}, 0, sources)
        return Run(layout, Upstream("a"), 0, tmp_path)

    (tmp_path / "result.json").write_text(json.dumps({**STORED, "key": run("ab").key()}))
    assert run("ab").stored() is not None
    assert run("cd").stored() is None
    assert run(None).stored() is None


def test_a_run_of_a_fold_keeps_the_score_of_that_fold(tmp_path: Path) -> None:
    class Trains:
        def run(self, arguments: list[str], output: Path) -> int:
            assert arguments[-1].endswith("datarc.test_fold=fold3")
            lines = [f"emotion-fold3/{split}-acc\t5\t0.5\n" for split in ("dev", "test")]
            (tmp_path / "scalars.tsv").write_text("".join(lines))
            return 0

    layout = Layout(tmp_path, Request("er", "IEMOCAP", superb=True, official=True), {}, {}, 0)
    run = Run(layout, Upstream("log-mel"), 0, tmp_path, fold=3)
    stored = run.result(Trains())  # type: ignore[arg-type]
    assert stored.test == 0.5
    assert run.stored() == stored
    assert Run(layout, Upstream("log-mel"), 0, tmp_path, fold=4).stored() is None


def test_where_nothing_is_learned_validation_and_test_are_evaluated_at_one_layer(
    tmp_path: Path,
) -> None:
    class Evaluates:
        def __init__(self) -> None:
            self.values = {"dev": 0.25, "test": 0.5}

        def run(self, arguments: list[str], output: Path) -> int:
            assert arguments[:3] == ["-m", "evaluate", "-t"]
            assert arguments[arguments.index("-l") + 1] == "3"
            assert "total_steps" not in arguments[-1]
            tag = f"quesst14_dtw/{arguments[3]}-mtwv"
            with (tmp_path / "scalars.tsv").open("a") as file:
                file.write(f"{tag}\t0\t{self.values.pop(arguments[3])}\n")
            return 0

    layout = Layout(tmp_path, Request("qbe", "audio"), COUNTS, {}, 0)
    run = Run(layout, Upstream("log-mel"), 0, tmp_path, 20, Protocol(layer=3))
    stored = run.result(Evaluates())  # type: ignore[arg-type]
    assert (stored.valid, stored.test, stored.layer, stored.learning_rate) == (0.25, 0.5, 3, None)
    assert run.stored() == stored
    assert stored.key["command"].startswith("s3prl run_downstream.py -m evaluate -t test ")


@pytest.mark.parametrize(
    ("fields", "number"), [({"encoder_layers": 2}, 3), ({"size": "zipformer_tiny"}, 7)]
)
def test_hidden_states_to_choose_from_are_counted_in_the_checkpoint(
    fields: dict[str, Any], number: int, tmp_path: Path
) -> None:
    save_pretrained(tmp_path, random_checkpoint(**{"encoder_layers": None, **fields}))
    assert Upstream("a", tmp_path).num_hidden_states() == number
    assert Upstream("log-mel").num_hidden_states() == 1
