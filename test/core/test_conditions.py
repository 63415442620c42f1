"""What a model is judged under."""

import pytest

from gemini_ros.core.conditions import conditions


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [
        (("rgb",), {"complete": None}),
        (("rgb", "depth"), {"complete": None, "without rgb": "rgb", "without depth": "depth"}),
    ],
)
def test_each_of_several_modalities_is_missing_once(modalities, expected):
    assert conditions(modalities) == expected
    assert list(conditions(modalities)) == list(expected)
