"""What the words of the command line mean, and which are refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gemini_ros.cli import arguments


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (arguments.size, "640x480", (640, 480)),
        (arguments.names, "rgb, depth", ("rgb", "depth")),
        (arguments.drop_window, "depth:3-5", ("depth", 3.0, 5.0)),
        (arguments.drop_window, "/camera/a:b:0.5-12", ("/camera/a:b", 0.5, 12.0)),
        (arguments.intrinsics, "525,526.5,319.5,-1", (525.0, 526.5, 319.5, -1.0)),
        (arguments.mounting, "0.2,0,0.5,0,0.1,3.14", (0.2, 0.0, 0.5, 0.0, 0.1, 3.14)),
        (arguments.seconds, "1", 1.0),
        (arguments.seconds, "3600", 3600.0),
    ],
)
def test_values(read, text, expected) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "texts", "expected"),
    [
        (arguments.size, ["640", "640X480", "0x480", "640x0", "-1x2", "640x480x3", "123456x1"], "WIDTHxHEIGHT"),
        (arguments.drop_window, ["depth", "depth:3", "depth:a-b", ":3-5"], "STREAM:START-END"),
        (arguments.intrinsics, ["1,2,3", "1,2,3,4,5", "1,2,3,x", ""], "fx,fy,cx,cy"),
        (arguments.mounting, ["0,0,0", "0,0,0,0,0,x", ""], "x,y,z,roll,pitch,yaw in metres and radians"),
        (arguments.seconds, ["0.5", "3601", "nan", "long"], "1 to 3600"),
    ],
)
def test_what_is_refused_is_named_with_what_was_expected(read, texts, expected) -> None:
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            read(text)
        assert str(caught.value).startswith(f"{text!r}, expected {expected}")


def test_an_empty_path_is_refused_in_every_verb() -> None:
    parser = arguments.Parser()
    arguments.add_bag(parser.add_subparsers().add_parser("verb"))
    assert parser.parse_args(["verb", "."]).bag == Path()
    with pytest.raises(SystemExit):
        parser.parse_args(["verb", ""])


def test_a_model_is_an_argument_or_an_option() -> None:
    parser = argparse.ArgumentParser()
    arguments.add_model(parser)
    assert parser.parse_args(["x"]).model == "x"
    parser = argparse.ArgumentParser()
    arguments.add_model(parser, "--model", required=False)
    assert parser.parse_args([]).model is None
    assert parser.parse_args(["--model", "x"]).model == "x"


def test_topics_of_streams() -> None:
    parser = argparse.ArgumentParser()
    arguments.add_camera(parser)
    words = ["--camera", "/front", "--topic", "rgb=/a/image", "--topic", "depth="]
    choice = arguments.choice_of(parser.parse_args(words))
    assert (choice.camera, dict(choice.topics)) == ("/front", {"rgb": "/a/image", "depth": ""})
    for text in ("rgb", "=/a", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="expected STREAM=TOPIC such as"):
            arguments.stream_topic(text)
