"""Blocks that are freed and asked for again are not cleared by the kernel anew."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from fairseq_budget.run.allocator import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
np.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 23)  # 64 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_freed_blocks_are_taken_again_without_page_faults():
    faults = {
        word: int(subprocess.check_output([sys.executable, "-c", PROGRAM, word], text=True))
        for word in ("keep", "give_back")
    }
    assert faults["keep"] < 0.2 * faults["give_back"]
