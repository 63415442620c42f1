"""The conditions under which a model is judged."""

from gemini_ros.core.conditions import conditions


def test_each_of_several_modalities_is_missing_once():
    assert conditions(("rgb", "depth")) == {"complete": None, "without rgb": "rgb", "without depth": "depth"}
    assert conditions(("rgb",)) == {"complete": None}
