"""The runs of a sweep: tasks, upstreams, learning rates or layers, and seeds."""

import sys
from pathlib import Path

import pytest

from fairseq_budget.downstream import sweep as sweep_module
from fairseq_budget.downstream.layout import Layout, Request
from fairseq_budget.downstream.runs import Protocol, Run, Upstream
from fairseq_budget.downstream.sweep import Sweep, num_updates, parse_rates, read_layouts
from fairseq_budget.errors import BudgetError
from fairseq_budget.pretrained import save_pretrained
from tests.own_models import random_checkpoint

LOGMEL = Upstream("log-mel")


def layout(task: str, *, superb: bool = False, official: bool = False) -> Layout:
    request = Request(task, "audio", superb=superb or official, official=official)
    return Layout(Path("data", task), request, {} if official else {"train": 100}, {}, 0)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("1e-1:1e-5", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]),
        ("3e-4:3e-2", [3e-4, 3e-3, 3e-2]),
        ("1e-2,5e-3", [1e-2, 5e-3]),
        ("1e-3:1e-3", [1e-3]),
    ],
)
def test_learning_rates_are_powers_of_ten_or_listed(text, rates):
    assert parse_rates(text) == pytest.approx(rates)


@pytest.mark.parametrize("text", ["", "fast", "0", "1e-1:0", "-1", "nan", "1e-30:1", "1:2:3"])
def test_learning_rates_that_are_none_are_named(text):
    with pytest.raises(BudgetError, match=r"--lrs .*expected learning rates such as"):
        parse_rates(text)


def test_runs_are_of_all_tasks_rows_rates_and_seeds_in_folders_of_their_own(tmp_path):
    seeds = [Upstream("tera", tmp_path / name) for name in ("one", "two")]
    sweep = Sweep([layout("pr"), layout("ic")], [seeds, [LOGMEL]], [0.1, 0.01], 3, tmp_path)
    runs = sweep.runs()
    assert len(runs) == len({run.folder for run in runs}) == 2 * 2 * 2 * 3
    taken = [run.upstream.checkpoint.name for run in runs if run.upstream.name == "tera"]
    assert taken[:3] == ["one", "two", "one"]
    assert "config.optimizer.lr=0.1" in runs[0].arguments()[-1]
    assert runs[0].folder == tmp_path / "pr/tera/lr0.1/seed0"


@pytest.fixture
def checkpoints(tmp_path) -> list[Path]:
    """Two seeds of three layers."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        save_pretrained(folder, random_checkpoint(encoder_layers=3))
    return folders


def test_what_learns_nothing_is_evaluated_at_each_layer_in_place_of_rates(checkpoints, tmp_path):
    rows = [[Upstream("tera", checkpoints[0])], [LOGMEL]]
    runs = Sweep([layout("qbe")], rows, [0.1, 0.01], 3, tmp_path).runs()
    assert [run.folder.relative_to(tmp_path / "qbe").as_posix() for run in runs] == [
        *(f"tera/layer{layer}/seed0" for layer in range(4)), "log-mel/layer0/seed0",
    ]  # fmt: skip
    assert [run.arguments()[run.arguments().index("-l") + 1] for run in runs] == [*"01230"]
    assert not any("optimizer.lr" in run.arguments()[-1] for run in runs)
    frozen = Protocol(layers="last", trainable=True, cache_gib=2.0)
    *_, run, _ = Sweep([layout("qbe")], rows, [0.1], 1, tmp_path, protocol=frozen).runs()
    assert run.folder == tmp_path / "qbe/tera/layer3/seed0"
    assert "-f" not in run.arguments()
    assert run.options() == {"cache_gib": 2.0}


def test_seeds_of_what_learns_nothing_are_its_checkpoints_and_fresh_weights(checkpoints, tmp_path):
    trained = [Upstream("tera", path) for path in checkpoints]
    fresh = [Upstream("fresh", path, untrained=True) for path in checkpoints[:1]]

    def seeds(row, num_seeds):
        runs = Sweep([layout("qbe")], [row], [0.1], num_seeds, tmp_path).runs()
        return [(run.seed, run.upstream.checkpoint.name) for run in runs if not run.protocol.layer]

    assert seeds(trained, 1) == [(0, "one")]
    assert seeds(trained, 3) == [(0, "one"), (1, "two")]
    assert seeds(fresh, 3) == [(0, "one"), (1, "one"), (2, "one")]


def test_checkpoints_of_one_row_that_differ_in_depth_are_told(tmp_path, monkeypatch):
    row = [Upstream("tera", tmp_path / name) for name in ("one", "two")]
    depths = {path.checkpoint: depth for path, depth in zip(row, (4, 7), strict=True)}
    monkeypatch.setattr(Upstream, "num_hidden_states", lambda self: depths[self.checkpoint])
    with pytest.raises(BudgetError, match=r"tera: its checkpoints have 4, 7 hidden states"):
        Sweep([layout("qbe")], [row], [0.1], 2, tmp_path).runs()


def test_a_missing_package_is_told_before_any_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "require_sound", lambda _: None)
    monkeypatch.setattr(sweep_module, "read_layout", lambda folder: layout(folder.name))
    (tmp_path / "qbe").mkdir()
    (tmp_path / "qbe" / "layout.json").touch()
    monkeypatch.setitem(sys.modules, "dtw", None)
    with pytest.raises(BudgetError, match=r"needs dtw.*pip install 'fairseq_budget\[qbe\]'"):
        read_layouts(tmp_path, ["qbe"])


def test_official_emotions_are_trained_on_each_fold_in_a_folder_of_its_own(tmp_path):
    sweep = Sweep([layout("er", official=True), layout("ic")], [[LOGMEL]], [0.1], 1, tmp_path)
    *folds, other = sweep.runs()
    assert [run.folder.relative_to(tmp_path) for run in folds] == [
        Path(f"er/log-mel/lr0.1/seed0/fold{fold}") for fold in range(1, 6)
    ]
    fields = [field for run in folds for field in run.arguments()[-1].split(",,")]
    assert [field.split("=")[1] for field in fields if "test_fold" in field] == [
        f"fold{fold}" for fold in range(1, 6)
    ]
    assert len({str(run.key()) for run in folds}) == 5
    assert "test_fold" not in other.arguments()[-1]
    [run] = Sweep([layout("er")], [[LOGMEL]], [0.1], 1, tmp_path).runs()
    assert "test_fold" not in run.arguments()[-1]


def test_the_table_says_what_its_scores_are_where_they_are_others():
    layouts = [layout(task, official=True) for task in ("er", "asv", "sid")]
    emotions, verification = Sweep(layouts, [[LOGMEL]], [0.1], 1, Path("out")).notes()
    assert emotions.startswith("ER: the mean of folds 1 to 5")
    assert verification.startswith("ASV: update and learning rate are chosen on test itself")
    assert not Sweep([layout("er"), layout("asv")], [[LOGMEL]], [0.1], 1, Path("out")).notes()
    [search] = Sweep([layout("qbe"), layout("ic")], [[LOGMEL]], [0.1], 1, Path("out")).notes()
    assert search == "QBE: nothing is learned; the layer is chosen on validation."
    last = Sweep(
        [layout("qbe")], [[LOGMEL]], [0.1], 1, Path("out"), protocol=Protocol(layers="last")
    )
    assert last.notes() == ["QBE: nothing is learned; the last layer."]


def test_a_protocol_says_what_the_classifier_hears_and_where_states_are_kept(tmp_path):
    tera = Upstream("tera", tmp_path)
    kept = Protocol(1e-3, "last", cache_gib=2.0, cache_folder=tmp_path / "states")
    run = Run(layout("ic"), tera, 1, tmp_path, protocol=kept)
    assert run.options() == {"cache_gib": 2.0, "cache_folder": str(tmp_path / "states")}
    assert run.arguments()[run.arguments().index("-s") + 1] == "last_hidden_state"
    assert "-g" in run.arguments()
    trained = Run(layout("ic"), tera, 1, tmp_path, protocol=Protocol(trainable=True, cache_gib=2.0))
    assert trained.options() == {}
    assert "-f" in trained.arguments()
    assert Run(layout("ic"), LOGMEL, 1, tmp_path, protocol=kept).options() == {}


@pytest.mark.parametrize(
    ("task", "superb", "expected"), [("ic", False, 400), ("ic", True, 200000), ("pr", True, 100000)]
)
def test_updates_are_those_of_the_configuration_unless_it_is_overridden(task, superb, expected):
    run = Run(layout(task, superb=superb), LOGMEL, 0, Path("out"))
    assert num_updates(run) == expected
    assert num_updates(Run(run.layout, LOGMEL, 0, Path("out"), 12)) == 12


def test_layouts_that_are_missing_are_all_named_with_the_command(tmp_path):
    with pytest.raises(BudgetError, match=r"no layout for pr, sid: make each with budget-down"):
        read_layouts(tmp_path, ["pr", "sid"])
    with pytest.raises(BudgetError, match="no layout for any task"):
        read_layouts(tmp_path, None)
    with pytest.raises(BudgetError, match=r"--tasks: prr: .*pr"):
        read_layouts(tmp_path, ["prr"])
