"""Every command of every page is run by a test, or stands here with the reason why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from test.docs.test_pages import PAGES, ROOT, in_blocks, name_of, shell_lines

# All blocks of these pages are run as they stand.
RUN_WHOLE = {
    "docs/your_own_model.md": "test/docs/test_your_own_model.py",
    "docs/first_model.md": "test/docs/test_first_model.py",
    "docs/examples.md": "test/examples/test_examples.py",
}
# The test that runs a command; what stands in the pages is also parsed (test_pages.py).
RUN_BY = {
    "adapt": "test/training/test_adaptation.py",
    "bag check": "test/doctor/test_bag.py",
    "bag from-images": "test/demo/test_run.py",
    "bag play": "test/nodes/test_player.py",
    "bag record": "test/nodes/test_recorder.py",
    "calibrate": "test/doctor/test_calibration.py",
    "compare": "test/evaluation/test_compare.py",
    "dataset check": "test/datasets/test_check.py",
    "dataset from-bag": "test/datasets/test_from_bag.py",
    "dataset import-labels": "test/datasets/test_annotation.py",
    "dataset questions": "test/language/test_questions.py",
    "dataset simulate": "test/simulation/test_dataset.py",
    "demo": "test/demo/test_run.py",
    "doctor": "test/nodes/test_graph.py",
    "engine build": "test/inference/test_engine_tool.py",
    "engine info": "test/inference/test_engine_tool.py",
    "engine list": "test/inference/test_engine_tool.py",
    "engine prune": "test/inference/test_engine_tool.py",
    "evaluate": "test/evaluation/test_pipeline.py",
    "model benchmark": "test/inference/test_benchmark.py",
    "model convert": "test/precision/test_convert.py",
    "model export": "test/training/test_training.py",
    "model import-official": "test/training/test_import_official.py",
    "model info": "test/cli/test_grammar.py",
    "model parity": "test/network/test_official.py",
    "phrases encode": "test/language/test_features.py",
    "results merge": "test/evaluation/test_many.py",
    "train fit": "test/training/test_training.py",
    "train instances": "test/training/instances/test_fit.py",
    "train phrases": "test/training/language/test_fit.py",
    "train test": "test/training/test_training.py",
}
# What no test runs, by the first words of the line, and why.
NOT_RUN = {
    "ros2": "needs an installed ROS; arguments of our launch files are compared with their tables",
    "rosdep": "needs an installed ROS",
    "source": "needs an installed ROS, or an environment of the reader's",
    "cd": "a folder of the reader's",
    "export": "a variable of the reader's shell",
    "python3 -m": "builds a workspace of the reader's; test/package/test_install.py builds the package",
    "docker": "no daemon; the Dockerfiles are linted",
    "mkdir": "a folder for the container beside it",
    "sudo": "changes the machine",
    "printf": "changes the machine",
    "nvpmodel": "needs a Jetson",
    "make": "the Makefile is tested by test/package/test_make.py; make test cannot run itself",
    "pip install": "the extras are tested by test/package/test_install.py",
    ".venv/bin/pip": "the extras are tested by test/package/test_install.py",
    ".venv/bin/pre-commit": "installs hooks into the reader's clone; test_lint.py runs them",
    ".venv/bin/python -m pytest": "the tests themselves",
    ".venv/bin/gemini-ros doctor": "test/nodes/test_graph.py runs it",
    "python -m benchmarks": "takes minutes to hours: benchmarks are no tests",
    "python benchmarks": "takes minutes to hours: benchmarks are no tests",
    "nice": "takes minutes to hours: benchmarks are no tests",
    "OMP_WAIT_POLICY=PASSIVE": "takes minutes to hours: benchmarks are no tests",
    "python3 examples/go_to_phrase.py": "needs a running node and Nav2",
    "rerun": "opens a window",
}


def run_by(words: list[str]) -> str | None:
    """The test that runs a ``gemini-ros`` command."""
    return RUN_BY.get(" ".join(words[1:3])) or RUN_BY.get(words[1])


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_run_or_says_why_not(page: Path) -> None:
    if name_of(page) in RUN_WHOLE:
        return
    for words in shell_lines(page):
        line = shlex.join(words).replace("'", "")
        if words[0] == "gemini-ros":
            assert run_by(words), f"{line}: name the test that runs it"
        else:
            assert any(
                line == start or line.startswith((f"{start} ", f"{start}.", f"{start}/")) for start in NOT_RUN
            ), f"{line}: run it in a test, or say in NOT_RUN why not"


@pytest.mark.once
@pytest.mark.parametrize("command", RUN_BY)
def test_the_named_test_has_the_command(command: str) -> None:
    text = (ROOT / RUN_BY[command]).read_text(encoding="utf-8")
    for word in command.split():
        assert re.search(rf"(?<![\w-]){word}(?![\w-])", text), f"{RUN_BY[command]} never says {word!r}"


@pytest.mark.once
def test_nothing_is_listed_in_vain() -> None:
    lines = [shlex.join(words).replace("'", "") for page in PAGES for words in shell_lines(page)]
    assert not [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)]
    for page, test in RUN_WHOLE.items():
        assert (ROOT / page).is_file() and Path(page).name in (ROOT / test).read_text(encoding="utf-8")
    assert in_blocks(ROOT / "docs/your_own_bag.md", "gemini-ros", "bag", "check")
