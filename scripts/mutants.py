#!/usr/bin/env python3
"""How many small faults in core and pipeline the tests notice: mutants drawn by a seed, each judged by the tests.

    make .venv-mutation
    .venv-mutation/bin/python scripts/mutants.py [--count 400] [--seed 1] [--processes 2] [--json FILE]

Works on a copy of the files that git tracks. Functions that numba compiles cannot be chosen by name at run time, so
mutmut leaves them alone; tests compare them with numpy. Prints the share killed with its 95 % interval (Wilson 1927),
and every survivor with its change.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")
SETTINGS = """
[tool.mutmut]
source_paths = ["gemini_ros"]
only_mutate = ["gemini_ros/core/*", "gemini_ros/pipeline/*"]
also_copy = ["config", "models", "launch", "demo", "docs", "package.xml", "setup.py", "README.md", "constraints"]
pytest_add_cli_args_test_selection = ["test/core", "test/pipeline", "test/evaluation"]
pytest_add_cli_args = ["-q", "-p", "no:cacheprovider"]
timeout_multiplier = 3.0
"""
KILLED = (1, 3, 24, -24, -9, -11, 36, 152, 255)  # failed, crashed, or stopped by the time limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy(tree)
        # Generates the mutants and measures the tests; no mutant has this name.
        subprocess.run([MUTMUT, "run", "none"], cwd=tree, capture_output=True, check=False)
        drawn = random.Random(args.seed).sample(sorted(outcomes(tree)), args.count)
        run = [MUTMUT, "run", "--max-children", str(args.processes), *drawn]
        subprocess.run(run, cwd=tree, stdout=subprocess.DEVNULL, check=False)
        found = outcomes(tree)
        survivors = {name: change(tree, name) for name in sorted(drawn) if found[name] not in KILLED}
        unjudged = [name for name in drawn if found[name] is None]
    killed = args.count - len(survivors)
    low, high = wilson(killed, args.count)
    for name, lines in survivors.items():
        print(f"{name} ({found[name]})", *(f"    {line}" for line in lines), sep="\n")
    print(f"{killed} of {args.count} killed: {killed / args.count:.1%}, 95 % interval {low:.1%} to {high:.1%}")
    if args.json:
        result = {"seed": args.seed, "count": args.count, "killed": killed, "interval": [low, high]}
        result |= {"survivors": survivors, "unjudged": unjudged}
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if unjudged else 0


def copy(tree: Path) -> None:
    """The tracked files, with mutmut's settings, and the compiled functions decorated so that it passes them over."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["xargs", "-0", "cp", "--parents", "-t", tree], cwd=ROOT, input=tracked, check=True)
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    for path in (tree / "gemini_ros/core").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        kernels = re.sub(r"^(def \w+_in_loops\()", r"@(lambda function: function)\n\1", text, flags=re.MULTILINE)
        path.write_text(kernels, encoding="utf-8")


def outcomes(tree: Path) -> dict[str, int | None]:
    """The exit status of the tests for each mutant; ``None`` for one that was not tried."""
    found: dict[str, int | None] = {}
    for path in (tree / "mutants/gemini_ros").rglob("*.meta"):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def change(tree: Path, name: str) -> list[str]:
    """The lines that a mutant takes away and puts in."""
    shown = subprocess.run([MUTMUT, "show", name], cwd=tree, capture_output=True, text=True, check=False).stdout
    return [line for line in shown.splitlines() if re.match(r"[-+](?![-+])", line)]


def wilson(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a share; Wilson 1927."""
    z = 1.959964
    share = successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return centre - half, centre + half


if __name__ == "__main__":
    sys.exit(main())
