"""Where config and models are looked for, in which order, and what is said when they are nowhere."""

import pytest

from gemini_ros.core import resources


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The four places, each a folder of its own with a file that names it."""
    folders = {name: tmp_path / name for name in ("override", "ament", "prefix", "source")}
    shares = {
        "override": folders["override"],
        "ament": folders["ament"] / "share/gemini_ros",
        "prefix": folders["prefix"] / "share/gemini_ros",
        "source": folders["source"],
    }
    for name, share in shares.items():
        (share / "config").mkdir(parents=True)
        (share / "config/x.yaml").write_text(name)
    index = folders["ament"] / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "gemini_ros").touch()
    monkeypatch.setenv("GEMINI_ROS_SHARE", str(shares["override"]))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}/nowhere:{folders['ament']}")
    monkeypatch.setattr(resources.sys, "prefix", str(folders["prefix"]))
    monkeypatch.setattr(resources, "__file__", str(folders["source"] / "gemini_ros/core/resources.py"))
    return shares


def test_the_first_place_that_has_it_wins(places):
    for name in ("override", "ament", "prefix", "source"):
        assert resources.find_resource("config/x.yaml").read_text() == name
        (places[name] / "config/x.yaml").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        resources.find_resource("config/x.yaml")
    for share in places.values():
        assert str(share / "config/x.yaml") in str(caught.value)


def test_a_prefix_that_did_not_register_the_package_does_not_count(places, monkeypatch):
    monkeypatch.delenv("GEMINI_ROS_SHARE")
    (places["ament"].parents[1] / "share/ament_index/resource_index/packages/gemini_ros").unlink()
    assert resources.find_resource("config/x.yaml").read_text() == "prefix"
