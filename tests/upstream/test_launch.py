from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from fairseq_budget.cli.downstream.command import main as downstream
from fairseq_budget.cli.run_downstream import s3prl_main
from fairseq_budget.downstream.comparison import summarize
from fairseq_budget.downstream.layout import Request, make_layout
from fairseq_budget.downstream.runs import Result, Upstream, update_overrides
from fairseq_budget.downstream.s3prl_process import S3prlProcess
from fairseq_budget.downstream.scores import Score, read_score
from fairseq_budget.downstream.tasks import TASKS
from fairseq_budget.errors import BudgetError
from fairseq_budget.upstream.launch import CONFIGS, complete_arguments, find_config

PROJECT = Path(__file__).parents[2]


def typed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Type ``s3prl run_downstream.py ARGUMENTS`` in a folder."""
    code = (
        "import sys; from fairseq_budget.cli.run_downstream import s3prl_main as s; sys.exit(s())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, "-c", code, "run_downstream.py", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_there_is_a_configuration_for_each_task() -> None:
    wanted = {find_config(task.downstream, task.config) for task in TASKS.values()}
    assert wanted == set(CONFIGS.rglob("*.yaml"))
    for task in TASKS.values():
        config = yaml.safe_load(find_config(task.downstream, task.config).read_text())
        for field in task.data:
            section, key = field.split(".")
            assert key in config["downstream_expert"][section]
        if not task.learns:
            assert config["runner"] == {}
            continue
        assert config["runner"]["total_steps"] % config["runner"]["eval_step"] == 0
        assert set(task.evaluated) <= set(config["runner"]["eval_dataloaders"])


def test_missing_arguments_are_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "data" / "fluent_commands").mkdir(parents=True)
    given = ["-m", "train", "-d", "fluent_commands"]
    config = str(CONFIGS / "fluent_commands.yaml")
    assert complete_arguments(given) == [*given, "--device", "cpu", "--config", config]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert complete_arguments(given) == [*given, "--config", config]


@pytest.mark.parametrize(
    "given",
    [
        ["-d", "fluent_commands", "-c", str(Path(__file__)), "--device", "cpu"],
        ["-m", "evaluate", "-e", str(Path(__file__)), "--device=cpu"],
        ["--help", "--device", "cpu"],
    ],
)
def test_what_is_given_stays_as_it_is(given: list[str]) -> None:
    assert complete_arguments(given) == given


def test_s3prls_own_configuration_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "downstream" / "emotion" / "config.yaml"
    path.parent.mkdir(parents=True)
    shutil.copy(CONFIGS / "emotion.yaml", path)
    (tmp_path / "data" / "emotion").mkdir(parents=True)
    assert complete_arguments(["-d", "emotion"])[-1] == "downstream/emotion/config.yaml"


@pytest.mark.parametrize("datarc", ["[root]", "text", "{root: 5}", "{file_path: null}"])
def test_a_configuration_of_other_types_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, datarc: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "downstream" / "emotion" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"downstream_expert: {{datarc: {datarc}}}\n")
    with pytest.raises(BudgetError, match=r"config\.yaml is no configuration of s3prl's"):
        complete_arguments(["-d", "emotion"])


def test_a_task_without_configuration_and_absent_data_are_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BudgetError, match="-d ctc: no configuration"):
        complete_arguments(["-d", "ctc"])
    with pytest.raises(
        BudgetError, match=r"-c downstream/ctc/phone\.yaml: .* mean ctc/libriphone\.yaml"
    ):
        complete_arguments(["-d", "ctc", "-c", "downstream/ctc/phone.yaml"])
    with pytest.raises(BudgetError, match="no data at data/emotion"):
        complete_arguments(["-d", "emotion"])
    with pytest.raises(BudgetError, match="-e OUT: there is no such"):
        complete_arguments(["-e", "OUT"])


def test_s3prl_alone_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert s3prl_main([]) == 0
    assert "usage: s3prl run_downstream.py" in capsys.readouterr().out
    assert s3prl_main(["train"]) == 2
    assert "'train': expected run_downstream.py" in capsys.readouterr().err


def write_scores(folder: Path, tag: str, scores: list[tuple[int, float, float]]) -> None:
    lines = [f"{tag.format('train')}\t50\t0.1"]
    for update, dev, test in scores:
        lines += [
            f"{tag.format('dev')}\t{update}\t{dev}",
            f"{tag.format('test')}\t{update}\t{test}",
        ]
    (folder / "scalars.tsv").write_text("\n".join(lines) + "\n")


def test_the_score_is_the_first_of_the_best_on_validation(tmp_path: Path) -> None:
    scores = [(100, 0.5, 0.6), (200, 0.7, 0.65), (300, 0.7, 0.9), (400, 0.6, 1.0)]
    write_scores(tmp_path, "fluent_commands/{}-acc", scores)
    assert read_score(tmp_path, TASKS["ic"]) == Score(200, 0.7, 0.65)
    write_scores(tmp_path, "fluent_commands/{}-acc", [])
    with pytest.raises(BudgetError, match="no evaluation of dev and test"):
        read_score(tmp_path, TASKS["ic"])


def test_the_least_error_is_the_best_and_per_cent_become_shares(tmp_path: Path) -> None:
    lines = [
        f"asr/{split}-{metric}\t{update}\t{value}"
        for split in ("dev-clean", "test-clean")
        for update, wer, uer in [(10, 90.0, 50.0), (20, 40.0, 10.0), (30, 60.0, 5.0)]
        for metric, value in (("wer", wer), ("uer", uer))
    ]
    (tmp_path / "scalars.tsv").write_text("\n".join(lines))
    score = read_score(tmp_path, TASKS["asr"])
    assert (score.update, score.valid, score.test) == (20, 0.4, 0.4)
    assert score.others == {"letter error rate": 0.1}
    [row] = summarize([Result(**asdict(score), upstream="a")], TASKS["asr"])
    assert row["test WER (%), lower is better"] == "40.0"
    assert row["letter error rate (%), lower is better"] == "10.0"


def test_the_table_has_mean_and_sample_deviation() -> None:
    results = [Result(7, 0.5, test, upstream="a") for test in (0.5, 0.6, 0.7)]
    [row] = summarize(results, TASKS["ic"])
    assert row["test accuracy (%)"] == "60.0 ± 10.0"
    assert row["each seed"] == "50.0, 60.0, 70.0"


@pytest.mark.parametrize("num_updates", [1, 7, 20, 45, 400])
def test_the_last_update_is_evaluated(num_updates: int) -> None:
    fields = dict(field.split("=") for field in update_overrides(num_updates))
    assert num_updates % int(fields["config.runner.eval_step"]) == 0


def test_upstreams_are_named_checkpoints(tmp_path: Path) -> None:
    one, fresh = Upstream("a", tmp_path), Upstream("a", tmp_path, untrained=True)
    assert Upstream.parse(f"a={tmp_path}") == [one]
    assert Upstream.parse(f"a={tmp_path}:untrained") == [fresh]
    assert Upstream.parse(f"a={tmp_path},{tmp_path}:untrained") == [fresh, fresh]
    for text in (str(tmp_path), f"={tmp_path}", f"a b={tmp_path}", "a=nowhere"):
        with pytest.raises(BudgetError, match="--upstream"):
            Upstream.parse(text)


@pytest.mark.s3prl
@pytest.mark.slow
@pytest.mark.parametrize("task", ["er", "ic", "ks", "ks35", "sid"])  # the others: test_experts.py
def test_s3prl_trains_and_evaluates_each_task(
    task: str, digits: Path, exported: Path, tmp_path: Path, s3prl
) -> None:
    layout = make_layout(
        Request(task, str(digits), train="take=2-7", test="take=0-1"), tmp_path / "data"
    )
    arguments = ["-u", "budget_upstream", "-k", str(exported), "-p", "out"]
    code, said = s3prl(*layout.command(arguments, update_overrides(4)), cwd=tmp_path)
    assert code == 0, said
    log = tmp_path / "out" / "log.log"
    trained = read_score(tmp_path / "out", TASKS[task])
    assert trained.update in (2, 4)
    last_line = log.read_text().splitlines()[-1]
    assert last_line.startswith("test at step 4: ")
    code, said = s3prl("-m", "evaluate", "-e", "out", cwd=tmp_path)
    assert code == 0, said
    assert log.read_text().splitlines()[-1] == last_line.replace("step 4", "step 0")


@pytest.mark.s3prl
@pytest.mark.slow
def test_the_mandated_line_works_as_typed(digits: Path, exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    data = tmp_path / "data" / "fluent_commands"
    make_layout(Request("ic", str(digits), train="take=2-7", test="take=0-1", shots=1), data)
    line = f"-m train -u budget_upstream -k {exported} -d fluent_commands -p OUT"
    done = typed(*line.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_score(tmp_path / "OUT", TASKS["ic"]).test > 0.9  # three tones


@pytest.mark.s3prl
def test_a_missing_checkpoint_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("s3prl")
    (tmp_path / "data" / "emotion").mkdir(parents=True)
    done = typed("-m", "train", "-u", "budget_upstream", "-d", "emotion", "-p", "OUT", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()  # nothing of s3prl's own
    assert line.startswith("run_downstream.py: error: budget_upstream")


@pytest.mark.s3prl
@pytest.mark.slow
def test_compare_prints_a_table_and_keeps_finished_runs(
    digits: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("s3prl")
    data, out = str(tmp_path / "data"), tmp_path / "out"
    filters = ["--train", "take=2-7", "--test", "take=0-1"]
    assert (
        downstream(["layout", "--task", "er", "--audio", str(digits), "--out", data, *filters]) == 0
    )
    assert "s3prl run_downstream.py -m train -d emotion" in capsys.readouterr().out
    command = ["compare", "--data", data, "--out", str(out), "--seeds", "1", "--updates", "2"]
    command += ["--logmel", "--upstream", f"fresh={exported}:untrained"]
    assert downstream(command) == 0
    table, progress = capsys.readouterr()
    assert [line for line in progress.splitlines() if " 1/2 " in line]  # no terminal, yet said
    assert "| fresh " in table
    assert "| log-mel " in table
    results = json.loads((out / "results.json").read_text())
    assert all(run["key"]["command"].startswith("s3prl run_down") for run in results["runs"])
    assert downstream(command) == 0
    assert capsys.readouterr().out == table
    assert json.loads((out / "results.json").read_text()) == results


@pytest.mark.s3prl
def test_runs_in_one_process_end_as_they_would_alone(tmp_path: Path, s3prl) -> None:
    (tmp_path / "data" / "emotion").mkdir(parents=True)
    line = ("-m", "train", "-u", "budget_upstream", "-d", "emotion", "-p", "OUT")
    alone = typed(*line, cwd=tmp_path)
    assert s3prl(*line, cwd=tmp_path) == (alone.returncode, alone.stdout + alone.stderr)
    assert s3prl("--no-such-option", cwd=tmp_path)[0] == 2


@pytest.mark.s3prl
def test_a_process_that_cannot_start_or_was_ended_is_one_message(tmp_path, monkeypatch) -> None:
    process = S3prlProcess(num_threads=1)
    process.run(["--help"], tmp_path / "out")
    process._process.kill()
    with pytest.raises(BudgetError, match="exit code -9"):
        process.run(["--help"], tmp_path / "out")
