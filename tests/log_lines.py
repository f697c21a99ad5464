"""What a run has logged, line by line."""

import json
import re
import subprocess

CLOCKS = ("wall", "train_wall", "wps", "ups", "data_wait", "eta_hours", "flop_per_s")


def log_lines(done: subprocess.CompletedProcess) -> list[dict[str, str]]:
    """The lines of ``common.log_format=json`` in training, without what depends on clocks."""
    found = re.findall(r"^.*\[train_inner\].*?(\{.*\})$", done.stdout + done.stderr, re.MULTILINE)
    return [
        {name: value for name, value in json.loads(line).items() if name not in CLOCKS}
        for line in found
    ]
