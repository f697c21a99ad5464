"""What is shown of other packages' words, and that a file and BUDGET_DEBUG have all of them."""

import logging
import logging.config
import sys
import warnings

import pytest

from fairseq_budget.console.quiet import LEVELS, hush, hush_console


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch):
    monkeypatch.delenv("BUDGET_DEBUG", raising=False)
    root = logging.getLogger()
    kept, levels = root.handlers[:], {name: logging.getLogger(name).level for name in LEVELS}
    level = root.level
    for name in LEVELS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    for handler in set(root.handlers) - set(kept):
        handler.close()
    root.handlers[:] = kept
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


def test_a_console_shows_us_progress_events_and_warnings_and_the_file_everything(tmp_path, capsys):
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
            "file": {"class": "logging.FileHandler", "filename": str(tmp_path / "all.log")},
        },
        "root": {"level": "INFO", "handlers": ["console", "file"]},
    }
    logging.config.dictConfig(hush_console(config, ["fairseq_budget", "train_inner"]))
    for name, level, words in (
        ("fairseq_cli.train", "INFO", "the module tree"),
        ("fairseq_budget.tasks._base", "INFO", "a line of ours"),
        ("train_inner", "INFO", "loss=1"),
        ("fairseq.checkpoint_utils", "INFO", "Saved checkpoint last.pt"),
        ("fairseq.trainer", "WARNING", "out of memory"),
    ):
        logging.getLogger(name).log(getattr(logging, level), words)
    shown = ["a line of ours", "loss=1", "Saved checkpoint last.pt", "out of memory"]
    assert capsys.readouterr().out.splitlines() == shown
    assert (tmp_path / "all.log").read_text().splitlines() == ["the module tree", *shown]


@pytest.mark.parametrize("debug", ["", "1"])
def test_warnings_of_other_packages_are_shown_for_debugging_only(monkeypatch, debug):
    monkeypatch.setenv("BUDGET_DEBUG", debug)
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        hush()
        for module in ("hydra.main", "fairseq_budget.nn.encoder"):
            warnings.warn_explicit(module, UserWarning, "file.py", 1, module)
    ours = ["fairseq_budget.nn.encoder"]
    assert [str(w.message) for w in heard] == (["hydra.main", *ours] if debug else ours)
    assert (logging.getLogger("s3prl.upstream").level == logging.ERROR) == (not debug)
