"""The programs of examples/ run as docs/examples.md shows, and print what it shows."""

import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from test.evaluation.drive import write_drive

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
SHOWN = {
    command.split()[1].removeprefix("examples/"): (shlex.split(command), output.splitlines())
    for command, output in re.findall(r"```bash\n(python examples/[^\n]+)\n```\n+```text\n(.*?)```", PAGE, re.DOTALL)
}
PATIENCE_S = 600
NOT_RUN = ("go_to_phrase.py",)  # needs a Nav2
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")

pytestmark = pytest.mark.slow


def start(name, folder, *more):
    words = SHOWN[name][0]
    command = [sys.executable, str(ROOT / words[1]), *words[2:], *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check(name, folder):
    """Run to the end; the last lines are those of the page, but for the last digit of its figures."""
    process = start(name, folder)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output + errors
    expected = SHOWN[name][1]
    printed = output.splitlines()[-len(expected) :]
    assert [NUMBER.sub("#", line).split() for line in printed] == [NUMBER.sub("#", line).split() for line in expected]
    figures = [[float(text) for line in lines for text in NUMBER.findall(line)] for lines in (printed, expected)]
    assert figures[0] == pytest.approx(figures[1], rel=0.02, abs=0.11)


def test_the_page_shows_every_example():
    assert sorted([*SHOWN, *NOT_RUN]) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    assert all(f"examples/{name}" in PAGE for name in NOT_RUN)


def test_segment_one_frame(tmp_path):
    check("segment_one_frame.py", tmp_path)


def test_bag_to_map(tmp_path):
    check("bag_to_map.py", tmp_path)
    cells = cv2.imread(str(tmp_path / "map.pgm"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(cells)) == {0, 205, 254}
    assert f"image: map.pgm\nresolution: {8 / len(cells)}" in (tmp_path / "map.yaml").read_text(encoding="utf-8")


def test_compare_two_models(tmp_path):
    check("compare_two_models.py", tmp_path)


def test_ask_for_a_phrase(tmp_path):
    check("ask_for_a_phrase.py", tmp_path)


def failed(name, folder, *words):
    """What is said on stderr, and the status. A traceback is no answer to a user."""
    process = start(name, folder, *words)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in errors
    return errors.splitlines()[-1], process.returncode


@pytest.mark.parametrize("models", [["a"], ["a", "b", "c"]])
def test_two_models_are_asked_for_before_anything_is_evaluated(tmp_path, models):
    said, status = failed("compare_two_models.py", tmp_path, *models)
    assert (f"{len(models)} model(s) given, expected A and B" in said, status) == (True, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bag_to_map.py", "ask_for_a_phrase.py"])
def test_no_frame_in_the_time_is_told(tmp_path, name):
    said, status = failed(name, tmp_path, "--seconds=-1")
    assert ("warehouse.mcap: no frame in the first -1 s: " in said, status) == (True, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_bag_without_a_frame_is_told(tmp_path):
    def late(stream, _, message):
        """Depth half a period late: no pair, and too short a bag for a frame without depth."""
        if stream == "depth":
            message.header.stamp.nanosec += 50_000_000
        return message

    bag = write_drive(tmp_path / "late.mcap", frames=2, tamper=late)
    said, status = failed("segment_one_frame.py", tmp_path, str(bag))
    assert (said.endswith("late.mcap: no frame of rgb, depth"), status) == (True, 1)


@pytest.mark.parametrize(
    ("model", "others"),
    [("warehouse_rgbdt_nano", "depth and thermal"), ("warehouse_rgbt_nano", "thermal"), ("warehouse_rgb_nano", "")],
)
def test_one_frame_has_all_that_the_model_takes(tmp_path, model, others):
    bag = write_drive(tmp_path / "drive.mcap", frames=3)
    process = start("segment_one_frame.py", tmp_path, str(bag), "--model", model)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    printed = output.splitlines()
    assert printed[0] == f"96x64 pixels from {', '.join(['rgb', *others.replace(' and ', ' ').split()])}"
    assert printed[-1].endswith(f"of the labels stay the same without {others}") == bool(others)


@pytest.mark.torch
def test_train_on_a_folder(tmp_path):
    random = np.random.default_rng(0)
    for purpose in ("train", "val"):
        for kind in ("rgb", "depth", "labels"):
            (tmp_path / "data" / purpose / kind).mkdir(parents=True)
        for i in range(8):
            labels = np.repeat(np.repeat(random.integers(0, 10, (4, 5), np.uint8), 32, 0), 32, 1)
            rgb = (labels * 20)[..., None] + random.integers(0, 30, (128, 160, 3), np.uint8)
            for kind, image in {"rgb": rgb, "depth": 1000 + 200 * labels.astype(np.uint16), "labels": labels}.items():
                cv2.imwrite(str(tmp_path / f"data/{purpose}/{kind}/{i}.png"), image)
    check("train_on_a_folder.py", tmp_path)
    assert (tmp_path / "own.golden.npz").is_file()


@pytest.mark.ros
@pytest.mark.flaky(reruns=1)
def test_pair_in_your_node(tmp_path, ros_environment):
    from test.nodes.rig import robot

    process = start("pair_in_your_node.py", tmp_path)
    printed = []
    reader = threading.Thread(target=lambda: printed.extend(line.rstrip("\n") for line in process.stdout))
    try:
        with robot(listen=()) as r:
            r.meet(outputs=False)
            reader.start()
            streams, sent = ("rgb", "depth"), 0
            while "single without depth" not in printed and sent < 600:
                at, sent = r.now(), sent + 1
                for stream in streams:
                    r.cameras[stream].publish(getattr(r, stream)(at + (3_000_000 if stream == "depth" else 0)))
                if printed.count(SHOWN["pair_in_your_node.py"][1][0]) >= 5:
                    streams = ("rgb",)
                r.spin(0.05)
    finally:
        process.terminate()
        process.wait(20)
        reader.join(20)
    in_order = list(dict.fromkeys(line for line in printed if not line.startswith("mode waiting")))
    assert sorted(in_order) == sorted(SHOWN["pair_in_your_node.py"][1]), printed
    assert printed.index("single without depth") > printed.index(SHOWN["pair_in_your_node.py"][1][0])
