"""What README.md and docs/ show exists: commands and their options, parameters, topics, files, links, keys."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from gemini_ros import cli
from gemini_ros.core.model_info import _KEYS, _OPTIONAL_KEYS
from gemini_ros.datasets.layout import _IMAGE_KEYS, _LAYOUT_KEYS, layout_from_dict, load_layout
from gemini_ros.pipeline.statistics import CAUSES, STAGES
from gemini_ros.pipeline.summary import Summary
from gemini_ros.pipeline.sync import POLICIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
CARDS = sorted((ROOT / "models").glob("*.md"))
# What they name of others is their subject.
RECORDS = [ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "THIRD_PARTY.md")]
CONFIGURATIONS = sorted((ROOT / "config/training").glob("*.yaml"))
TABLES = ROOT / "docs/topics_and_parameters.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARAMETER_GROUPS = r"(?:snapshot|sync|missing|camera|costmap|engine|thermal|rgb|depth)"
FOLDERS = "benchmarks|config|constraints|docker|docs|examples|gemini_ros|launch|models|scripts"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(path.read_text(encoding="utf-8")) if found == language]


def inline(path: Path) -> list[str]:
    """What stands between single backticks, wherever lines break."""
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]


def shell_lines(path: Path) -> list[list[str]]:
    """The words of each command in a block, continued lines joined."""
    text = "\n".join(blocks(path, "bash")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def in_blocks(page: Path, *start: str) -> list[list[str]]:
    return [words for words in shell_lines(page) if words[: len(start)] == list(start)]


def table(path: Path, heading: str) -> list[str]:
    """First cells of the first table below a heading, without backticks."""
    below = path.read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    assert below, f"{name_of(path)} has no {heading!r}"
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows, f"no table below {heading!r}"
    return [line.split("|")[1].strip().strip("`") for line in rows[0].splitlines()[2:]]


def parse(words: list[str]):
    return cli.build_parser().parse_known_args(words)


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((a.choices for a in parser._actions if isinstance(a.choices, dict)), {})


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """All options of a command and of those below it."""
    yield from parser._option_string_actions
    for below in verbs_of(parser).values():
        yield from options_of(below)


@pytest.mark.ros
def test_tables_are_those_of_the_code(ros_environment: dict[str, str]) -> None:
    command = [sys.executable, ROOT / "docs/generate.py", "--check"]
    done = subprocess.run(command, env=ros_environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_blocks_are_complete_and_right(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in in_blocks(page, "gemini-ros"):
        try:
            args, rest = parse(words[1:])
        except SystemExit:
            pytest.fail(f"{shlex.join(words)}: {capsys.readouterr().err}")
        assert not rest or getattr(args, "passes_on", False), f"{shlex.join(words)}: no such option {rest}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    for code in inline(page):
        words = code.removeprefix("ros2 run gemini_ros ").split()
        if words[0] != "gemini-ros":
            continue
        parser = cli.build_parser()
        for word in words[1:]:
            verbs = verbs_of(parser)
            if word.startswith("--") and parser.add_help:
                assert word in parser._option_string_actions, code
            elif verbs:
                assert word in verbs, code
                parser = verbs[word]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_in_the_text_are_of_some_command(page: Path) -> None:
    foreign = {"--no-deps", "--clock", "--ckpt_path", "--ipc", "--network"}  # pip's, ros2's, Lightning's and Docker's
    known = {*options_of(cli.build_parser()), *foreign, "--check"}  # --check is that of docs/generate.py
    for code in inline(page):
        for option in re.findall(r"^--[\w.-]+|(?<= )--[\w.-]+", code):
            of_training = option.startswith(("--model.", "--data.", "--trainer."))
            assert option in known or of_training, f"{option} in `{code}`"


def training_options_of(where: Callable[..., object], prefix: str) -> set[str]:
    """What can be given to a class of the training, with the fields of its groups of options: ``model.loss.dice``."""
    found = set()
    for name, hint in get_type_hints(where.__init__).items():
        if name != "return":
            found.add(f"{prefix}.{name}")
            groups = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind)]
            found |= {f"{prefix}.{name}.{field.name}" for group in groups for field in fields(group)}
    return found


@pytest.mark.torch
@pytest.mark.parametrize("page", [*PAGES, *CARDS, *CONFIGURATIONS], ids=name_of)
def test_overrides_of_the_training_exist(page: Path) -> None:
    import inspect

    import lightning

    from gemini_ros.training.data import SegmentationData
    from gemini_ros.training.task import SegmentationTask

    known = training_options_of(SegmentationTask, "model") | training_options_of(SegmentationData, "data")
    assert {"model.loss.dice", "model.weights", "data.folders.train", "data.simulation.seed"} <= known
    known |= {f"trainer.{name}" for name in inspect.signature(lightning.Trainer).parameters}
    text = page.read_text(encoding="utf-8")
    given = set(re.findall(r"(?<![\w.-])--((?:model|data)\.[\w.]*\w)", text))
    dotted = {word for code in inline(page) for word in re.findall(r"^(?:model|data|trainer)\.[a-z_.]+(?= |$)", code)}
    assert given | dotted <= known
    for words in in_blocks(page, "gemini-ros", "train"):
        if words[2] not in ("fit", "test"):
            continue  # its options are argparse's, as those of all other commands
        options = {word[2:] for word in words if word.startswith("--")}
        assert options <= known | {"config", "ckpt_path", "help"}, shlex.join(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_parameters_and_topics_exist(page: Path) -> None:
    parameters = set(table(TABLES, "## Parameters of `segmenter`"))
    # Those that need packages which are not installed here are in the text below the table.
    published = [*table(TABLES, "### Published"), *(code for code in inline(TABLES) if code.startswith("~/"))]
    topics = {topic.replace("~", "/segmenter") for topic in published}
    for code in inline(page):
        if re.fullmatch(rf"{PARAMETER_GROUPS}\.[\w.]+", code):
            assert code in parameters or "NAME" in code.split("."), f"parameter {code}"
    # In a shell ~ is somebody's home.
    named = [code for code in inline(page) if re.fullmatch(r"(~|/segmenter)/\w+", code)]
    for name in [*named, *re.findall(r"/segmenter/\w+", page.read_text(encoding="utf-8"))]:
        assert name.replace("~", "/segmenter") in topics, f"topic {name}"
    for body in blocks(page, "yaml"):
        shown = yaml.safe_load(body)
        for node, content in shown.items() if isinstance(shown, dict) else ():
            if node in ("/**", "segmenter"):
                assert content["ros__parameters"].keys() <= parameters


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_launch_arguments_and_make_variables_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    quoted = [code.split() for code in inline(page)]
    for words in [*shell_lines(page), *quoted]:
        if words[:3] == ["ros2", "launch", "gemini_ros"]:
            there = table(TABLES, f"## Arguments of `{words[3]}`")
            assert {word.partition(":=")[0] for word in words[4:]} <= set(there), words
        elif words[0] == "make":
            assert words[1] in re.findall(r"^# make (\S+)", makefile, re.MULTILINE), words
            assert all(f"$({word.partition('=')[0]})" in makefile for word in words[2:]), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_exist(page: Path) -> None:
    words = [*inline(page), *(word for line in shell_lines(page) for word in line)]
    for word in words:
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]+", word) and "NAME" not in word:
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("page", [*PAGES, *RECORDS, *CARDS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            assert page in RECORDS, f"{target}: a foreign page may go away; say it here"
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{target}: no such file"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, target


@pytest.mark.parametrize(
    "page, heading, expected",
    [
        ("counters.md", "## Everything is counted", list(CAUSES)),
        ("counters.md", "## Where the time goes", list(STAGES)),
        ("synchronisation.md", "## When a modality is missing", list(POLICIES)),
    ],
)
def test_lists_are_complete_and_in_order(page: str, heading: str, expected: list[str]) -> None:
    assert table(ROOT / "docs" / page, heading) == expected


def test_keys_of_files_are_all_told() -> None:
    assert set(table(ROOT / "docs/model_file.md", "## Metadata")) == _KEYS | _OPTIONAL_KEYS
    cells = " ".join(table(ROOT / "docs/bags.md", "`summary.json`, of `evaluate` and of `demo`:"))
    assert set(re.findall(r"\w+", cells)) == {field.name for field in fields(Summary)}


def test_layouts_are_all_told_and_the_example_is_one() -> None:
    page = ROOT / "docs/layouts.md"
    names = table(page, "## Layouts")
    assert sorted(names) == sorted(path.stem for path in (ROOT / "config/datasets").glob("*.yaml"))
    assert all(load_layout(name).name == name for name in names)
    example = next(block for block in blocks(page, "yaml") if "images" in yaml.safe_load(block))
    assert layout_from_dict(yaml.safe_load(example), "the example").has_splits
    image_keys = set().union(*(required | optional for required, optional in _IMAGE_KEYS.values()))
    for heading, keys in (("## A layout of your own", _LAYOUT_KEYS), ("### Keys of an image", image_keys)):
        assert set(re.findall(r"\w+", " ".join(table(page, heading)))) == keys


def test_the_migration_names_the_format_of_the_store() -> None:
    from gemini_ros.evaluation.store import FORMAT

    assert f"The store of frames is format {FORMAT}." in (ROOT / "docs/migration.md").read_text(encoding="utf-8")
