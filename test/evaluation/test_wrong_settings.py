"""What people set wrong, each through `evaluate`: never `normal`, never exit status 0, and a sentence with the cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.topics import COLOR_FRAME
from gemini_ros.cli import main
from gemini_ros.core.encodings import decode_image, stamp_ns
from test.evaluation.drive import write_drive

FIXTURES = Path(__file__).parents[1] / "fixtures"
Change = Callable[[Any, int], Any]


def metres(message: Any) -> np.ndarray:
    return np.nan_to_num(decode_image(message, "depth"))


def raw(values: np.ndarray, encoding: str, message: Any) -> Any:
    return messages.image(values, encoding, stamp_ns(message), COLOR_FRAME)


def counts(message: Any, factor: float, offset: float = 0.0) -> Any:
    """Thermal as another camera would count it."""
    kelvin = decode_image(message, "thermal") + 273.15
    return raw((kelvin * factor + offset).astype(np.uint16), "mono16", message)


def restamped(message: Any, at_ns: int) -> Any:
    message.header = messages.header(at_ns, COLOR_FRAME)
    return message


def noise(index: int, low: int, high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(index).integers(low, high, (64, 96, *shape))


@dataclass(frozen=True)
class Case:
    """A stream as it comes, and what has to be said of it. ``model`` takes RGB and one other image.

    ``topic``: where the images are, for those whose encoding says that they are no such stream: they are not detected.
    """

    stream: str
    said: str
    change: Change = lambda message, index: message
    settings: tuple[str, ...] = ()
    model: str = "tiny_rgb_depth"
    topic: str = ""
    also: dict[str, Change] = field(default_factory=dict)


T = "tiny_rgb_thermal"
CASES = {
    "32FC1 in millimetres": Case(
        "depth", "set depth.scale to 0.001", lambda m, i: raw(metres(m) * 1000 + 1000, "32FC1", m)
    ),
    "16UC1 in metres": Case("depth", "set depth.scale", lambda m, i: raw(metres(m).astype(np.uint16), "16UC1", m)),
    "tenths of a millimetre": Case(
        "depth", "depth.scale", lambda m, i: raw((metres(m) * 10_000).astype(np.uint16), "16UC1", m)
    ),
    "quarters of a millimetre": Case(
        "depth", "depth.scale", lambda m, i: raw((metres(m) * 4000).astype(np.uint16), "16UC1", m)
    ),
    "depth.scale": Case("depth", "nearer than the model's range", settings=("depth.scale=0.001",)),
    "cap on depth": Case("depth", "without a measurement", lambda m, i: raw(np.zeros((64, 96), np.uint16), "16UC1", m)),
    "cap that reflects": Case(
        "depth", "something stands right before", lambda m, i: raw(noise(i, 5, 30).astype(np.uint16), "16UC1", m)
    ),
    "all NaN": Case("depth", "without", lambda m, i: raw(np.full((64, 96), np.nan, np.float32), "32FC1", m)),
    "all saturated": Case(
        "depth", "farther than the model's range", lambda m, i: raw(np.full((64, 96), 65535, np.uint16), "16UC1", m)
    ),
    "a picture of the depth": Case(
        "depth",
        "subscribe to the depth itself",
        lambda m, i: raw(noise(i, 0, 255).astype(np.uint8), "mono8", m),
        topic="/camera/depth/image_raw/compressed",
    ),
    "a clock of its own": Case(
        "depth", "sync.offset_s.depth to -0.042", lambda m, i: restamped(m, stamp_ns(m) + 40_000_000)
    ),
    "stamps of zero": Case("depth", "depth: stamp 0", lambda m, i: restamped(m, 0)),
    "saturated colours": Case(
        "rgb", "rgb is saturated", lambda m, i: raw(noise(i, 252, 256, 3).astype(np.uint8), "rgb8", m)
    ),
    "measurements for colours": Case(
        "rgb",
        "topics of two streams exchanged",
        lambda m, i: raw(noise(i, 500, 900).astype(np.uint16), "16UC1", m),
        topic="/camera/color/image_raw/compressed",
    ),
    "tenths of a kelvin": Case("thermal", "thermal.scale and thermal.offset", lambda m, i: counts(m, 10), model=T),
    "raw counts": Case("thermal", "thermal.scale", lambda m, i: counts(m, 40, -4000), model=T),
    "counts of 14 bits, saturated": Case(
        "thermal", "thermal.scale", lambda m, i: raw(np.full((64, 96), 16383, np.uint16), "mono16", m), model=T
    ),
    "counts of 16 bits, saturated": Case(
        "thermal", "is not saturated", lambda m, i: raw(np.full((64, 96), 65535, np.uint16), "mono16", m), model=T
    ),
    "thermal.offset": Case("thermal", "below the model's range", settings=("thermal.offset=-400.0",), model=T),
    "depth as thermal": Case(
        "thermal",
        "two streams are exchanged",
        lambda m, i: raw(noise(i, 900, 5000).astype(np.uint16), "mono16", m),
        model=T,
    ),
    "8 bits of contrast": Case(
        "thermal", "contrast-stretched", lambda m, i: raw(noise(i, 0, 255).astype(np.uint8), "mono8", m), model=T
    ),
    "false colours": Case(
        "thermal",
        "false colours",
        lambda m, i: raw(noise(i, 0, 255, 3).astype(np.uint8), "rgb8", m),
        model=T,
        topic="/camera/thermal/image_raw/compressed",
    ),
    "telemetry alone": Case("thermal", "thermal.skip_rows is 64", settings=("thermal.skip_rows=64",), model=T),
}


def evaluate(
    bag: Path, model: str, settings: tuple[str, ...], out: Path, topic: str = ""
) -> tuple[int, dict[str, Any]]:
    options = [word for setting in settings for word in ("--set", setting)] + ["--topic", topic] * bool(topic)
    arguments = ["evaluate", str(bag), "--model", str(FIXTURES / f"{model}.onnx"), "--out", str(out), *options]
    return main([*arguments, "--camera-in-base", "0.2,0,0.6,0,0.2,0"]), json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_setting_is_told_and_fails(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    case = CASES[name]
    bag = write_drive(
        tmp_path / "d.mcap", tamper=lambda stream, i, m: case.change(m, i) if stream == case.stream else m
    )
    topic = f"{case.stream}={case.topic}" if case.topic else ""
    if topic:
        refused = ["evaluate", str(bag), "--model", str(FIXTURES / f"{case.model}.onnx"), "--out", str(tmp_path)]
        assert main(refused) == 2
        assert f"no topic of {case.stream}, which the model takes" in capsys.readouterr().err
    status, summary = evaluate(bag, case.model, case.settings, tmp_path, topic)
    said = "\n".join([*capsys.readouterr(), *summary["notes"]])
    modes = [change["mode"] for change in summary["mode_changes"]]
    assert status == 1
    assert case.said in said
    assert case.stream in summary["unused"]
    if "of a millimetre" not in name:  # in range of the model: it is the map that knows
        assert case.stream in modes[-1]
        assert "normal" not in modes or name == "a clock of its own"  # it takes a second to know that


def test_a_dark_colour_image_is_told_and_no_failure(tmp_path: Path):
    bag = write_drive(
        tmp_path / "d.mcap",
        tamper=lambda stream, i, m: raw(noise(i, 0, 12, 3).astype(np.uint8), "rgb8", m) if stream == "rgb" else m,
    )
    status, summary = evaluate(bag, "tiny_rgb_depth", (), tmp_path)
    assert (status, summary["mode_changes"][-1]["mode"], summary["pairs"]) == (0, "normal", 12)
    assert any(note.startswith("12 x rgb: dark, mean 5.") for note in summary["notes"])


def test_another_unit_by_its_parameter_is_as_good_as_millimetres(tmp_path: Path):
    found = []
    for factor, settings in ((1000, ()), (4000, ("depth.scale=0.25",))):
        bag = write_drive(
            tmp_path / f"{factor}.mcap",
            tamper=lambda stream, i, m, f=factor: (
                raw((metres(m) * f).astype(np.uint16), "16UC1", m) if stream == "depth" else m
            ),
        )
        status, summary = evaluate(bag, "tiny_rgb_depth", settings, tmp_path)
        found.append((status, summary["pairs"], summary["unused"], summary["mode_changes"][-1]["mode"]))
    assert found[0] == found[1] == (0, 12, [], "normal")
