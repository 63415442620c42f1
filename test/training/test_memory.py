"""Memory that is kept is not fetched page by page again."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch
from gemini_ros.training.memory import keep_memory
if sys.argv[1] == "keep" and not keep_memory():
    sys.exit("no glibc")
def step():
    [torch.zeros(40 << 20, dtype=torch.uint8).add_(1) for _ in range(3)]
for _ in range(4):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone can be told")
def test_steps_take_no_new_pages():
    """120 MB a step, ten steps: in 4 KB pages without, hardly any with."""
    faults = {
        how: int(subprocess.run([sys.executable, "-c", STEPS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "leave")
    }
    assert faults["leave"] > 20_000 and faults["keep"] < faults["leave"] / 20
