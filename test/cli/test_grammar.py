"""``gemini-ros <noun> <verb>``: which commands exist, their help, their exit status, and what they say of a lack."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from gemini_ros import __version__, cli
from gemini_ros.core.resources import find_model

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb.onnx"
WEIGHTS = Path(__file__).parents[2] / "models/nav5_rgbd_nano.safetensors"
GRAMMAR = {
    "bag": ["play", "record", "from-images", "check"],
    "phrases": ["encode"],
    "dataset": ["simulate", "check", "from-bag", "import-labels", "questions"],
    "model": ["parity", "export", "convert", "import-official", "benchmark", "info"],
    "engine": ["build", "info", "list", "prune"],
    "evaluate": [],
    "compare": [],
    "results": ["merge"],
    "calibrate": [],
    "adapt": [],
    "train": ["fit", "test", "phrases", "instances"],
    "doctor": [],
    "demo": [],
}
COMMANDS = [[noun, verb] for noun, verbs in GRAMMAR.items() for verb in verbs] + [
    [n] for n in GRAMMAR if not GRAMMAR[n]
]


def below(parser: argparse.ArgumentParser) -> argparse._SubParsersAction | None:
    return next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)


def parsers() -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    nouns = below(cli.build_parser())
    assert nouns is not None
    for noun, parser in nouns.choices.items():
        verbs = below(parser)
        if verbs is None:
            yield [noun], parser
        else:
            yield from (([noun, verb], of_verb) for verb, of_verb in verbs.choices.items())


def status_of(words: list[str]) -> object:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    return caught.value.code


def isolated(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    """``program`` in a Python that has imported nothing yet."""
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_nouns_and_their_verbs() -> None:
    assert sorted(words for words, _ in parsers()) == sorted(COMMANDS)


def test_without_a_command_five_are_shown_that_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2, "a script whose words went missing must not go on"
    shown = capsys.readouterr().err.splitlines()
    commands = [line.removeprefix("  gemini-ros ") for line in shown if line.startswith("  gemini-ros ")]
    assert commands == list(cli.START) and len(commands) == 5
    for command in commands:
        args, rest = cli.build_parser().parse_known_args(command.split())
        assert not rest or getattr(args, "passes_on", False), command
    assert max(map(len, shown)) <= 120


@pytest.mark.parametrize("noun", GRAMMAR)
def test_each_noun_has_help_that_lists_its_verbs(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of([noun, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: gemini-ros {noun} ")
    assert all(re.search(rf"^    {verb}\s", shown, re.MULTILINE) for verb in GRAMMAR[noun])


def test_each_command_and_each_of_its_arguments_has_a_help_text() -> None:
    for words, parser in parsers():
        assert parser.description and parser.description in " ".join(parser.format_help().split()), words
        for action in parser._actions:
            assert action.help, f"{' '.join(words)} {action.dest}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["bag"], "required: VERB"),
        (["bag", "fly"], "invalid choice: 'fly'"),
        (["bag", "check"], "required: bag"),
        (["bag", "check", "x", "--fast"], "unrecognized arguments: --fast"),
        (["engine", "build", "x", "--size", "640"], "expected WIDTHxHEIGHT"),
    ],
    ids=" ".join,
)
def test_words_that_are_no_command_give_status_2(words, complaint, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(words) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "argument"),
    [
        (["bag", "check", ""], "bag"),
        (["bag", "check", "x.mcap", "--camera", ""], "--camera"),
        (["compare", "", "b"], "A"),
        (["compare", "a", ""], "B"),
        (["compare", "a", "b", "--bags", "x.mcap", ""], "--bags"),
        (["model", "info", ""], "model"),
        (["evaluate", "x.mcap", "--model", "", "--out", "x"], "--model"),
        (["evaluate", "x.mcap", "--model", "m", "--out", ""], "--out"),
        (["dataset", "check", ""], "folder"),
        (["doctor", "--camera", ""], "--camera"),
    ],
    ids=" ".join,
)
def test_an_empty_word_is_not_the_current_folder(words, argument, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(words) == 2
    assert f"error: argument {argument}: '', expected one that is not empty" in capsys.readouterr().err


def test_bad_input_gives_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "info", "nowhere.onnx"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("gemini-ros: model nowhere.onnx: No such file or directory; expected")
    assert err.count("\n") == 1


def test_an_interruption_gives_the_status_of_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(args: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.model, "run_info", interrupted)
    assert cli.main(["model", "info", "x"]) == 130


def test_a_model_is_taken_by_path_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for model in ("warehouse_rgb_nano", find_model("warehouse_rgb_nano")):
        assert cli.main(["model", "info", str(model)]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and '"modalities"' in shown[0]


@pytest.mark.parametrize(
    "words",
    [
        ["model", "info", "no_such_model"],
        ["model", "benchmark", "no_such_model"],
        ["model", "convert", "no_such_model", "--precision", "fp16", "--frames", "x", "--out", "x.onnx"],
        ["engine", "build", "no_such_model", "--size", "96x80"],
        ["evaluate", "x.mcap", "--model", "no_such_model", "--out", "x"],
        ["compare", "no_such_model", "warehouse_rgb_nano", "--bags", "x.mcap", "--out", "x"],
        ["demo", "--model", "no_such_model"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_each_command_with_a_model_names_the_shipped_ones(
    words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    needs = {"convert": "onnx", "evaluate": "rosbags", "compare": "rosbags", "demo": "rosbags"}
    if package := needs.get(words[0]) or needs.get(words[1]):
        pytest.importorskip(package)
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert "model no_such_model: No such file or directory; expected an ONNX file or the name of a shipped" in err
    assert "nav5_rgbd_nano, warehouse_rgb_nano" in err


def test_a_missing_room_is_answered_with_its_extra() -> None:
    program = "import sys; sys.modules['rosbags'] = None; from gemini_ros.cli import main; sys.exit(main(sys.argv[1:]))"
    done = isolated(program, "bag", "check", "x.mcap")
    assert done.returncode == 2
    assert done.stderr == "gemini-ros: this command needs rosbags: pip install 'gemini_ros[bags]'\n"


def test_the_node_without_ros_says_what_it_needs() -> None:
    for package in ("rclpy", "diagnostic_msgs"):
        done = isolated(
            f"import sys; sys.modules[{package!r}] = None; from gemini_ros.cli.segmenter import main; main()"
        )
        assert done.returncode == 2
        assert done.stderr == (
            f"segmenter: this command needs {package}: source the setup file of ROS 2 (/opt/ros/DISTRO/setup.bash), or "
            "pip install 'gemini_ros[ros]'\n"
        )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--config", "nope.yaml"], "--config nope.yaml: no such file, expected a YAML file such as config/training/"),
        (["-c=nope.yaml"], "-c nope.yaml: no such file"),
        (["--config", "setup.py", "--config", "gone.yaml"], "--config gone.yaml: no such file"),
        (["--model.weights=gone.ckpt"], "--model.weights gone.ckpt: no such file, expected a checkpoint (*.ckpt)"),
        (["--model.weights", MODEL], f"--model.weights {MODEL}: an ONNX file holds a network to run, not to train"),
        (
            ["--ckpt_path", WEIGHTS],
            f"--ckpt_path {WEIGHTS}: weights without a training to go on with; start from",
        ),
        (["--ckpt_path", MODEL], f"--ckpt_path {MODEL}: an ONNX file holds a network to run, not to train"),
    ],
)
def test_files_of_a_training_are_looked_at_first(words, complaint, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "fit", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"gemini-ros: {complaint}") and err.count("\n") == 1


@pytest.mark.parametrize("module", cli.EXTRAS)
def test_each_extra_that_is_named_exists(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(args: argparse.Namespace) -> None:
        raise ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part")

    monkeypatch.setattr(cli.model, "run_info", lacking)
    assert cli.main(["model", "info", "x"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"gemini-ros: this command needs {module}: ")
    assert err.partition("[")[2].partition("]")[0] in metadata.metadata("gemini_ros").get_all("Provides-Extra", [])


def test_a_module_that_no_extra_brings_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(args: argparse.Namespace) -> None:
        raise ModuleNotFoundError("No module named 'gemini_ros.gone'", name="gemini_ros.gone")

    monkeypatch.setattr(cli.model, "run_info", lacking)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["model", "info", "x"])


def test_the_command_line_alone_imports_no_other_room() -> None:
    program = (
        "import sys; from gemini_ros import cli; cli.build_parser()\n"
        "print(*sorted(name for name in sys.modules if name.startswith('gemini_ros.')), sep='\\n')\n"
        "print(*(name for name in sys.argv[1:] if name in sys.modules))"
    )
    done = isolated(program, "numpy", *cli.EXTRAS)
    *ours, heavy = done.stdout.split("\n")[:-1]
    assert ours and all(name.startswith("gemini_ros.cli") for name in ours)
    assert heavy == ""


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "gemini_ros.cli"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
    done = subprocess.run([*command, "model", "info", MODEL], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and '"modalities"' in done.stdout
    assert subprocess.run([*command, "model", "info", "x"], capture_output=True, timeout=60).returncode == 2
