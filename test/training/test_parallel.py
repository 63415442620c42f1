"""Two processes train as one does: the same weights, every sample once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from test.training.toy import write_folder

pytestmark = [pytest.mark.torch, pytest.mark.slow]
PROGRAM = Path(__file__).with_name("parallel_run.py")


def run(launcher, folder, out):
    out.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[2])}
    command = [sys.executable, *launcher, str(PROGRAM), str(folder), str(out)]
    subprocess.run(command, env=environment, check=True, timeout=240, capture_output=True)
    seen = [json.loads(path.read_text()) for path in sorted(out.glob("seen_*.json"))]
    return torch.load(out / "network.pt", weights_only=True), seen


def test_two_processes_give_the_weights_of_one(tmp_path):
    folder = write_folder(tmp_path / "set", frames=8)
    one, (all_seen,) = run([], folder, tmp_path / "one")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two, halves = run(torchrun, folder, tmp_path / "two")
    assert len(halves) == 2
    for step, batch in enumerate(all_seen):
        assert sorted(batch) == sorted(index for seen in halves for index in seen[step])
    assert sorted(index for seen in halves for batch in seen[:2] for index in batch) == list(range(8))
    assert (tmp_path / "two/miou.json").read_text() == (tmp_path / "one/miou.json").read_text()
    start = torch.load(tmp_path / "one/start.pt", weights_only=True)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-8, msg=name)
    assert max(float((value - start[name]).abs().max()) for name, value in one.items()) > 1e-3
