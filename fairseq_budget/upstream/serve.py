"""Runs of s3prl one after another, each in a fork of one process that has imported all of it.

``python -m fairseq_budget.upstream.serve`` reads a job from each line of stdin, ``{"arguments":
[...], "output": FILE, "folder": DIR}``, and answers with a line on stdout: null when it is ready,
then the exit code of each run. Importing s3prl takes longer than many a run.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

from fairseq_budget.errors import BudgetError
from fairseq_budget.run.parent import end_with_parent
from fairseq_budget.upstream.launch import run
from fairseq_budget.upstream.register import register


def main() -> None:
    end_with_parent()
    register()
    for name in ("run_downstream", "downstream.runner", "downstream.voxceleb1.dataset"):
        importlib.import_module(f"s3prl.{name}")
    print("null", flush=True)
    for line in sys.stdin:
        print(_in_fork(json.loads(line)), flush=True)


def _in_fork(job: dict[str, Any]) -> int:
    parent, child = os.getpid(), os.fork()
    if child == 0:
        end_with_parent(
            parent
        )  # a sweep that is killed and begun again finds nobody in its folders
        os._exit(_run(job))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(job: dict[str, Any]) -> int:
    """In a process of its own, whose output goes to the job's file."""
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(target, stream)
    os.chdir(job["folder"])
    code = 0
    try:
        run(job["arguments"])
    except BudgetError as error:
        print(f"run_downstream.py: error: {error}", file=sys.stderr)
        code = 2
    except SystemExit as end:  # argparse's
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # whoever has started it says so
        main()
