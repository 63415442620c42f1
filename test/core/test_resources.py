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


@pytest.fixture
def models(places, tmp_path, monkeypatch):
    """Two shipped models, one of them in two places, and a working directory that has neither."""
    for place, name in (("source", "a"), ("prefix", "b"), ("source", "b")):
        (places[place] / "models").mkdir(exist_ok=True)
        (places[place] / f"models/{name}.onnx").write_text(place)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return places


def test_a_model_is_a_path_or_the_name_of_a_shipped_one(models, tmp_path, monkeypatch):
    assert resources.find_model("a") == models["source"] / "models/a.onnx"
    assert resources.find_model("b").read_text() == "prefix"
    own = tmp_path / "here/own.onnx"
    own.touch()
    assert resources.find_model("own.onnx").samefile(own)
    assert resources.find_model(own) == own
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    assert resources.find_model("~/own.onnx") == own


def test_a_file_goes_before_a_name_and_a_name_before_a_folder(models, tmp_path):
    (tmp_path / "here/a").mkdir()
    assert resources.find_model("a") == models["source"] / "models/a.onnx"
    (tmp_path / "here/b").touch()
    assert resources.find_model("b").samefile(tmp_path / "here/b")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c", "No such file or directory"),
        ("a.onnx", "No such file or directory"),
        ("/nowhere/a", "No such file or directory"),
        ("../here", "Is a directory"),
        ("", "Is a directory"),
    ],
)
def test_what_is_no_model_is_told_with_the_shipped_ones(models, text, found):
    with pytest.raises(FileNotFoundError) as caught:
        resources.find_model(text)
    expected = f"model {text}: {found}; expected an ONNX file or the name of a shipped model: a, b"
    assert str(caught.value) == expected


def test_without_shipped_models_the_places_are_told(places):
    with pytest.raises(FileNotFoundError) as caught:
        resources.find_model("a")
    assert "shipped model: none, for there is no models/*.onnx. Looked at $GEMINI_ROS_SHARE: " in str(caught.value)
    assert all(str(share / "models") in str(caught.value) for share in places.values())
