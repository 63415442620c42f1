"""Descriptions of data sets in which other things stand where a name belongs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gemini_ros.core.resources import find_resource
from gemini_ros.datasets.layout import PathPattern, layout_from_dict

NAMES = ("name", "source", "label_set", "frames", "images", "one_size", "unpack")
OF_IMAGES = ("path", "type", "scale", "hole", "offset", "channel", "encoding")
WRONG: tuple[Any, ...] = (["a"], [], {"a": 1}, [["a"]], {}, ["x" * 5000])


def described() -> dict[str, Any]:
    return yaml.safe_load(find_resource("config/datasets/simulated.yaml").read_text())


def refused(data: Any) -> str:
    with pytest.raises(ValueError) as error:
        layout_from_dict(data, "x.yaml")
    text = str(error.value)
    assert text.startswith("x.yaml") and "\n" not in text and len(text) < 600
    return text


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: str(value)[:20])
def test_lists_and_mappings_where_a_name_belongs(wrong: Any):
    layout_from_dict(described(), "x.yaml")
    refused(wrong)
    for key in NAMES:
        refused({**described(), key: wrong})
    for key in OF_IMAGES:
        data = described()
        data["images"]["depth"][key] = wrong
        refused(data)
    for kind in ("rgb", "depth", "labels"):
        refused({**described(), "images": {**described()["images"], kind: wrong}})
    for key in ("path", "type", "channel", "first_class", "map"):
        data = described()
        data["images"]["labels"][key] = wrong
        refused(data)


def test_parts_of_a_path_hold_no_control_characters():
    pattern = PathPattern("rgb/{stem}.png")
    assert pattern.match("rgb/a b.png") == {"stem": "a b"}
    for name in ("rgb/a\nb.png", "rgb/\n.png", "rgb/a\x00.png"):
        assert pattern.match(name) is None
