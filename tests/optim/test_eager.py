"""Optimizers that leave torch's compiler alone."""

import subprocess
import sys

PROGRAM = """
import sys
import torch
from fairseq_budget.optim.eager import keep_from_compiler
from fairseq_budget.optim.scaled_adam import ScaledAdam

if "keep" in sys.argv:
    keep_from_compiler()
first, second = (torch.nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2))
optimizer = ScaledAdam([first])
optimizer.add_param_group({"params": [second]})
for _ in range(2):
    optimizer.zero_grad()
    (first.sum() + 2 * second.square().sum()).backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print(*first.tolist(), *second.tolist(), "torch._dynamo" in sys.modules)
"""


def test_an_optimizer_that_is_kept_from_torchs_compiler_does_the_same_without_it():
    weights, is_imported = {}, {}
    for word in ("keep", "as it is"):
        printed = subprocess.check_output([sys.executable, "-c", PROGRAM, word], text=True)
        *weights[word], is_imported[word] = printed.split()
    assert weights["keep"] == weights["as it is"] != ["1.0", "2.0", "1.0", "2.0"]
    assert is_imported == {"keep": "False", "as it is": "True"}
