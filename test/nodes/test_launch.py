"""Launch files and camera files. ``launch`` has no wheel: stand-ins record what the files ask of it."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from gemini_ros.core.frames import MODALITIES
from gemini_ros.core.resources import find_resource
from gemini_ros.nodes.segmenter import node as segmenter
from gemini_ros.nodes.tool import launcher_gone
from gemini_ros.pipeline.cameras import read_camera
from gemini_ros.pipeline.parameter_files import Section
from gemini_ros.pipeline.settings import SETTINGS, TRANSPORTS

LAUNCH = find_resource("launch")
CAMERAS = sorted(find_resource("config/cameras").glob("*.yaml"))
FILES = sorted(LAUNCH.glob("*.launch.py"))
NAMES = {parameter.name for parameter in SETTINGS}


class Recorded(SimpleNamespace):
    """Any action or substitution: keeps the arguments it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(args=args, name=args[0] if args else None)
        self.__dict__.update(kwargs)

    def perform(self, context: dict[str, str]) -> str:
        name, default = self.args[0], self.__dict__.get("default")
        return (context if default is None else {name: default, **context})[name]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> None:
    for tree in map(ast.parse, (path.read_text(encoding="utf-8") for path in FILES)):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.split(".")[0] in ("launch", "launch_ros")
            ):
                module = sys.modules.get(node.module)
                if module is None:
                    module = ModuleType(node.module)
                    monkeypatch.setitem(sys.modules, node.module, module)
                for alias in node.names:
                    setattr(module, alias.name, type(alias.name, (Recorded,), {}))


def run(name: str) -> dict[str, Any]:
    return runpy.run_path(str(LAUNCH / name))


def actions(name: str, kind: str) -> list[Any]:
    description = run(name)["generate_launch_description"]()
    return [action for action in description.args[0] if type(action).__name__ == kind]


def started(**given: str) -> tuple[Any, list[Any]]:
    """The node, and the other actions, with these arguments given and the defaults for the rest."""
    file = run("segmenter.launch.py")
    context = {argument.args[0]: argument.default_value for argument in file["ARGUMENTS"]} | given
    *others, node = file["segmenter"](context)
    return node, others


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_argument_is_described(launch, path: Path):
    arguments = actions(path.name, "DeclareLaunchArgument")
    assert len(arguments) >= 3
    for argument in arguments:
        assert argument.description.endswith("."), argument.args[0]


def test_the_arguments_users_are_promised(launch):
    names = {argument.args[0] for argument in actions("segmenter.launch.py", "DeclareLaunchArgument")}
    assert names >= {
        "camera",
        "modalities",
        "model",
        "backend",
        "namespace",
        "params_file",
        "use_sim_time",
        "build_only",
    }


def test_defaults_start_a_realsense_with_the_parameter_file_alone(launch, monkeypatch):
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    node, others = started()
    assert (node.package, node.executable, node.namespace) == ("gemini_ros", "segmenter", "")
    file, overrides = node.parameters
    assert Path(file) == LAUNCH.parent / "config/segmenter.yaml"
    assert overrides == {
        "backend": "auto",
        "rgb.image_transport": "raw",
        "depth.image_transport": "raw",
    }
    assert ("depth/image", "/camera/camera/aligned_depth_to_color/image_raw") in node.remappings
    assert [action.args for action in others] == [
        (name, str(LAUNCH.parent / "config/fastdds.xml"))
        for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    ]


def test_arguments_become_parameters_that_exist(launch, monkeypatch):
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "mine.xml")
    node, others = started(
        camera="custom",
        model="/m.onnx",
        modalities="rgb, thermal",
        backend="onnxruntime",
        namespace="front",
        use_sim_time="true",
        build_only="true",
    )
    overrides = node.parameters[1]
    assert set(overrides) <= NAMES | {"use_sim_time"}
    assert overrides["modalities"] == ["rgb", "thermal"]
    assert (overrides["engine.build_only"], overrides["model"], overrides["use_sim_time"]) == (True, "/m.onnx", True)
    assert overrides["backend"] == "onnxruntime"
    assert node.namespace == "front"
    assert ("odom", "/odom") in node.remappings
    assert ("rgb/image", "/rgb/image") in node.remappings, "inputs keep the topic names of the camera's file"
    profile, end = others
    assert profile.args[0] == "FASTDDS_DEFAULT_PROFILES_FILE"
    handler = end.args[0]
    assert handler.target_action is node
    handler.on_exit(SimpleNamespace(returncode=0), None)
    with pytest.raises(RuntimeError, match="no engine was built"):
        handler.on_exit(SimpleNamespace(returncode=1), None)


def test_the_camera_file_gives_way_to_what_the_users_file_says(launch, tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "/**: {ros__parameters: {backend: tensorrt}}\n"
        "segmenter: {ros__parameters: {rgb: {image_transport: compressed}, camera.size: 640x480}}\n"
        "planner: {ros__parameters: }\n"
    )
    node, _ = started(params_file=str(file))
    assert node.parameters == [str(file), {"depth.image_transport": "raw"}]
    node, _ = started(params_file=str(file), backend="onnxruntime")
    assert node.parameters[1]["backend"] == "onnxruntime"
    with pytest.raises(RuntimeError, match=r"params_file 'nowhere\.yaml': no such file"):
        started(params_file="nowhere.yaml")


@pytest.mark.parametrize("camera", ["oakd", "bag", "realsense_boson"])
def test_a_copy_of_the_shipped_file_leaves_what_the_camera_says(launch, tmp_path, camera):
    file = tmp_path / "mine.yaml"
    text = (LAUNCH.parent / "config/segmenter.yaml").read_text(encoding="utf-8")
    shipped, _ = started(camera=camera)
    file.write_text(text)
    node, _ = started(camera=camera, params_file=str(file))
    assert node.parameters == [str(file), shipped.parameters[1]]
    changed = text.replace("rgb.image_transport: raw", "rgb: {image_transport: theora}")
    assert changed != text
    file.write_text(changed)
    node, _ = started(camera=camera, params_file=str(file))
    assert node.parameters[1] == {n: v for n, v in shipped.parameters[1].items() if n != "rgb.image_transport"}
    # In a file of their own words, a default that stands there is meant.
    file.write_text("segmenter: {ros__parameters: {rgb.image_transport: raw}}")
    node, _ = started(camera=camera, params_file=str(file))
    assert "rgb.image_transport" not in node.parameters[1]


def test_a_params_file_in_the_home_directory_is_found(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "robot.yaml"
    file.write_text("segmenter: {ros__parameters: {use_sim_time: true, backend: openvino}}")
    node, _ = started(params_file="~/robot.yaml")
    assert node.parameters[0] == str(file)
    assert not {"use_sim_time", "backend"} & set(node.parameters[1]), "the file decides where no argument does"
    file.write_text("/**: {ros__parameters: {use_sim_time: true, backend: openvino}}")
    (tmp_path / "cameras.yaml").write_text("front: {params_file: ~/robot.yaml}")
    (front,) = nodes_of(tmp_path / "cameras.yaml", use_sim_time="")
    assert front.parameters[0] == str(file)
    assert "use_sim_time" not in front.parameters[1]
    file.write_text(
        "segmenter: {ros__parameters: {backend: openvino, rgb.image_transport: x, depth.image_transport: x}}"
    )
    node, _ = started(params_file="~/robot.yaml")
    assert node.parameters == [str(file)]


def test_a_file_without_parameters_for_the_node_is_refused(launch, tmp_path):
    """An included launch file inherits the params_file of its parent: Nav2's, for one."""
    file = tmp_path / "nav2.yaml"
    file.write_text("planner_server: {ros__parameters: {backend: none}}\nsegmentor: {ros__parameters: {backend: b}}\n")
    with pytest.raises(RuntimeError, match=r"for /segmenter, only for planner_server, .*'params_file'"):
        started(params_file=str(file))
    for key in ("/front/segmenter: {ros__parameters: {backend: b}}", "front: {segmenter: {ros__parameters: }}"):
        file.write_text(f"planner_server: {{ros__parameters: {{backend: none}}}}\n{key}\n")
        node, _ = started(params_file=str(file), namespace="front")
        assert ("backend" in node.parameters[1]) == ("backend: b" not in key)


USERS = "{ros__parameters: {depth.image_transport: compressedDepth, backend: openvino, threads: 4}}"


@pytest.mark.parametrize(
    ("namespace", "pushed", "name"),
    [
        ("", "", "/segmenter"),
        ("front", "", "/front/segmenter"),
        ("/front/", "/robot", "/front/segmenter"),
        ("front", "/robot", "/robot/front/segmenter"),
        ("", "robot", "/robot/segmenter"),
    ],
)
def test_a_section_counts_where_it_reaches_the_node(launch, tmp_path, namespace, pushed, name):
    """``pushed`` is what a launch file around this one puts before the namespace, as launch_ros keeps it."""
    file = tmp_path / "robot.yaml"
    given = {"params_file": str(file), "namespace": namespace, "ros_namespace": pushed}
    file.write_text(f"{name}: {USERS}\n/rear/segmenter: {{ros__parameters: {{rgb.image_transport: x}}}}\n")
    node, _ = started(**given)
    assert node.parameters[1] == {"rgb.image_transport": "raw"}, "what stands under /rear/segmenter decides nothing"
    file.write_text(f"/rear/segmenter: {USERS}\n")
    with pytest.raises(
        RuntimeError, match=f"no parameters for {name}, only for /rear/segmenter: expected .* {name} or"
    ):
        started(**given)


@pytest.mark.parametrize("key", ["segmenter", "/front/segmenter", "front/segmenter", "/*", "**", "/**", "/*/segmenter"])
def test_sections_reach_the_node_as_for_the_offline_commands(launch, key):
    """Section.reaches is held against rclpy itself in test_parameters."""
    reaches = run("segmenter.launch.py")["reaches"]
    for name in ("/segmenter", "/front/segmenter", "/a/front/segmenter", "/frontsegmenter"):
        assert reaches(key, name) == Section(key, {}).reaches(name), (key, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("segmenter: {ros__parameters: [a]}", "segmenter: ['a'], expected ros__parameters with names and values"),
        ("a: [", "not YAML: while parsing"),
        ("", "no parameters for /segmenter, only for nothing"),
        ("segmenter: {threads: 2}", "no parameters for /segmenter, only for nothing"),
    ],
)
def test_a_parameter_file_of_another_form_is_refused(launch, tmp_path, text, said):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    with pytest.raises(RuntimeError, match=re.escape(f"params_file {str(file)!r}: {said}")):
        started(params_file=str(file))


def test_booleans_are_taken_in_any_case_and_nothing_else(launch):
    for text, value in (("True", True), ("true", True), ("FALSE", False)):
        node, _ = started(use_sim_time=text, build_only=text)
        assert (node.parameters[1]["use_sim_time"], node.parameters[1].get("engine.build_only", False)) == (
            value,
            value,
        )
    for name in ("use_sim_time", "build_only"):
        with pytest.raises(RuntimeError, match=f"{name}:=yes, expected true or false"):
            started(**{name: "yes"})


def test_the_node_ends_with_the_launch(launch, monkeypatch):
    node, _ = started()
    assert not launcher_gone()
    monkeypatch.setenv("GEMINI_ROS_LAUNCH_PID", node.additional_env["GEMINI_ROS_LAUNCH_PID"])
    assert not launcher_gone()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    monkeypatch.setenv("GEMINI_ROS_LAUNCH_PID", str(gone.pid))
    assert launcher_gone()


def test_replay_plays_when_the_model_is_loaded(launch, tmp_path):
    file = run("replay.launch.py")
    assert (file["LOADED"].decode(), file["NOT_LOADED"].decode()) == (segmenter.LOADED, segmenter.NOT_LOADED)
    (waiting,) = file["player"]({"bag": str(tmp_path), "rate": "2.0"})
    heard = waiting.args[0].on_stderr
    assert heard(SimpleNamespace(text=b"[INFO] mode loading\n")) is None
    (player,) = heard(SimpleNamespace(text=b"[INFO] the model is loaded, it runs on onnxruntime\n"))
    assert player.cmd == ["ros2", "bag", "play", str(tmp_path), "--clock", "100", "--rate", "2.0"]
    assert heard(SimpleNamespace(text=b"[INFO] the model is loaded\n")) is None
    with pytest.raises(RuntimeError, match="did not load"):
        heard(SimpleNamespace(text=b"[ERROR] the model did not load: no memory\n"))
    with pytest.raises(RuntimeError, match="did not load"):
        heard(SimpleNamespace(text=b"[ERROR] the model did not load, not configured: model /m.onnx: no such file\n"))


def test_replay_fails_where_there_is_no_bag_or_the_player_fails(launch):
    file = run("replay.launch.py")
    with pytest.raises(RuntimeError, match=r"bag 'nowhere\.mcap': no such file"):
        file["player"]({"bag": "nowhere.mcap", "rate": "1.0"})
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    over = SimpleNamespace(returncode=0, process_name="ros2-2")
    (shutdown,) = file["ended"](over, running)
    assert shutdown.event.reason == "ros2-2 is done"
    failed = SimpleNamespace(returncode=1, process_name="ros2-2")
    with pytest.raises(RuntimeError, match="ros2-2 ended with status 1"):
        file["ended"](failed, running)
    assert file["ended"](failed, ending) is None


def test_an_unknown_camera_is_refused(launch):
    with pytest.raises(RuntimeError, match="camera 'webcam': expected one of azure_kinect, bag, custom, oakd, orbbec"):
        started(camera="webcam")


def test_a_prefix_names_one_camera_of_several(launch):
    node, _ = started(camera="realsense", camera_prefix="/front/camera/", threads="3")
    topics = dict(node.remappings)
    assert topics["rgb/image"] == "/front/camera/color/image_raw"
    assert topics["depth/camera_info"] == "/front/camera/aligned_depth_to_color/camera_info"
    assert topics["odom"] == "/odom"
    assert node.parameters[1]["threads"] == 3
    with pytest.raises(RuntimeError, match="threads:=many, expected a whole number"):
        started(threads="many")


def test_a_camera_file_may_set_parameters_and_the_users_file_wins(launch, tmp_path):
    camera = yaml.safe_load((LAUNCH.parent / "config/cameras/realsense.yaml").read_text())
    camera |= {"sync": {"offset_s": {"depth": 0.01}}, "camera.size": "640x480"}
    (tmp_path / "camera.yaml").write_text(yaml.safe_dump(camera))
    (tmp_path / "robot.yaml").write_text("segmenter: {ros__parameters: {camera: {size: 848x480}}}")
    node, _ = started(camera=str(tmp_path / "camera.yaml"), params_file=str(tmp_path / "robot.yaml"))
    assert node.parameters[1]["sync.offset_s.depth"] == 0.01
    assert "camera.size" not in node.parameters[1]


RGB = "rgb: {image: c/image_raw, camera_info: /c/camera_info, image_transport: raw}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{RGB}\nthermal: {{image: /t, image_transport: raw}}",
            "thermal needs image, camera_info and image_transport",
        ),
        (f"{RGB}\ndepth: {{image: /d, camera_info: /i}}", "depth needs image, camera_info and image_transport"),
        (f"{RGB}\ndepth: /d", "depth needs image, camera_info and image_transport"),
        (RGB.replace("raw}", "raw, aligned: 1}"), "rgb: aligned 1, expected true or false"),
        (f"{RGB}\nodom: [1]", "odom [1], expected the name of a topic"),
        ("odom: /odom", "no stream, expected one of rgb, depth, thermal"),
        ("- rgb", "no stream"),
        ("", "no stream"),
    ],
)
def test_a_camera_file_is_refused_in_the_words_of_the_offline_commands(launch, tmp_path, text, said):
    file = tmp_path / "camera.yaml"
    file.write_text(text)
    with pytest.raises(RuntimeError, match=re.escape(said)):
        started(camera=str(file))
    with pytest.raises(ValueError, match=re.escape(said)):
        read_camera(str(file))


def test_a_camera_file_that_is_no_yaml_is_refused(launch, tmp_path):
    (tmp_path / "camera.yaml").write_text("rgb: [")
    with pytest.raises(RuntimeError, match=r"camera '.*camera\.yaml': not YAML: while parsing"):
        started(camera=str(tmp_path / "camera.yaml"))


def test_a_stream_that_is_left_empty_is_none_and_topics_are_absolute(launch, tmp_path):
    file = tmp_path / "camera.yaml"
    file.write_text(f"{RGB}\nthermal:\nodom: odometry\n")
    for prefix, rgb in (("", "/c"), ("/x", "/x"), ("x/", "/x")):
        node, _ = started(camera=str(file), camera_prefix=prefix, namespace="front")
        assert node.remappings == [
            ("odom", "/odometry"),
            ("rgb/image", f"{rgb}/image_raw"),
            ("rgb/camera_info", f"{rgb}/camera_info"),
        ]
        assert "thermal" not in node.parameters[1]


@pytest.mark.parametrize("path", CAMERAS, ids=lambda path: path.stem)
def test_the_node_hears_the_topics_that_the_offline_commands_read(launch, path: Path):
    camera, topics = read_camera(path.stem), dict(started(camera=str(path), namespace="front")[0].remappings)
    assert topics["odom"] == camera.odom
    for name, stream in camera.streams.items():
        assert topics[f"{name}/camera_info"] == stream.camera_info
        assert stream.image == topics[f"{name}/image"] + ("" if stream.transport == "raw" else f"/{stream.transport}")


def test_the_streams_are_those_of_the_package(launch):
    assert run("segmenter.launch.py")["STREAMS"] == MODALITIES


def nodes_of(file: Path, **given: str) -> list[Any]:
    context = {"cameras": str(file), "use_sim_time": "false", "build_only": "false"} | given
    return [action for action in run("multi_camera.launch.py")["segmenters"](context) if hasattr(action, "executable")]


def test_the_shipped_cameras_start_a_node_each_with_a_share_of_the_cores(launch):
    front, rear = nodes_of(LAUNCH.parent / "config/multi_camera.yaml", use_sim_time="True")
    assert (front.namespace, rear.namespace) == ("front", "rear")
    assert dict(rear.remappings)["rgb/image"] == "/rear/camera/color/image_raw"
    threads = max(len(os.sched_getaffinity(0)) // 2, 1)
    assert [node.parameters[1]["threads"] for node in (front, rear)] == [threads, threads]
    assert all(node.parameters[1]["use_sim_time"] for node in (front, rear))


def test_an_entry_gives_the_arguments_of_one_segmenter(launch, tmp_path):
    (tmp_path / "threads.yaml").write_text(
        "/low/segmenter: {ros__parameters: {threads: 7}}\n/*/segmenter: {ros__parameters: {costmap.size_m: 8.0}}"
    )
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "thermal: {camera: custom, camera_prefix: /boson, model: warehouse_thermal_nano, modalities: [rgb, thermal]}\n"
        "low: {params_file: threads.yaml}\nhigh: {camera: zed, threads: 2}\n"
        "other: {camera: oakd, params_file: threads.yaml}\nempty: {camera: orbbec, params_file: , model: }\n"
    )
    thermal, low, high, other, empty = nodes_of(file)
    assert thermal.parameters[1]["modalities"] == ["rgb", "thermal"]
    assert thermal.parameters[1]["model"] == "warehouse_thermal_nano"
    assert "model" not in low.parameters[1], "nothing of one camera leaks into the next"
    assert low.parameters[0] == str(tmp_path / "threads.yaml")
    assert "threads" not in low.parameters[1]
    assert high.parameters[1]["threads"] == 2
    assert other.parameters[1]["threads"] == max(len(os.sched_getaffinity(0)) // 5, 1), "7 is that of low alone"
    assert empty.parameters[0] == str(LAUNCH.parent / "config/segmenter.yaml")
    assert "model" not in empty.parameters[1]


def test_a_launch_file_around_the_cameras_puts_its_namespace_before_theirs(launch, tmp_path):
    (tmp_path / "mounting.yaml").write_text("/robot/low/segmenter: {ros__parameters: {threads: 7}}")
    (tmp_path / "cameras.yaml").write_text("low: {params_file: mounting.yaml}")
    (low,) = nodes_of(tmp_path / "cameras.yaml", ros_namespace="/robot")
    assert "threads" not in low.parameters[1]
    with pytest.raises(RuntimeError, match="no parameters for /low/segmenter, only for /robot/low/segmenter"):
        nodes_of(tmp_path / "cameras.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected an entry for each camera"),
        ("[a, b]", "expected an entry for each camera"),
        (
            "front: {camera: realsense}\nrear: {camera: realsense}",
            "front and rear both take /camera/camera/color/image_raw",
        ),
        ("front: {camera: custom}\nrear: {camera: custom}", "front and rear both take /rgb/image"),
        ("a: [", "not YAML: while parsing"),
        ("front: {camra: realsense}", "front has camra, expected some of camera, camera_prefix"),
        ("front: realsense", "front has 'realsense', expected some of"),
        ("3: {camera: realsense}", "3 names a camera, expected letters"),
        ("a/b: {camera: realsense}", "'a/b' names a camera"),
        ("front: {camera: webcam}", "camera 'webcam': expected one of"),
        ("front: {threads: lots}", "threads:=lots, expected a whole number"),
        ("front: {params_file: gone.yaml}", "params_file 'gone.yaml': no such file"),
    ],
)
def test_a_file_of_cameras_that_makes_no_sense_is_refused(launch, tmp_path, text, said):
    file = tmp_path / "cameras.yaml"
    file.write_text(text)
    with pytest.raises(RuntimeError, match=re.escape(said)):
        nodes_of(file)
    with pytest.raises(RuntimeError, match=r"cameras 'nowhere\.yaml': no such file"):
        nodes_of(Path("nowhere.yaml"))


def test_replay_passes_arguments_that_the_segmenter_takes(launch):
    taken = {argument.args[0] for argument in actions("segmenter.launch.py", "DeclareLaunchArgument")}
    declared = {argument.args[0] for argument in actions("replay.launch.py", "DeclareLaunchArgument")}
    passed = dict(actions("replay.launch.py", "IncludeLaunchDescription")[0].launch_arguments)
    assert set(passed) <= taken
    assert set(passed) - {"use_sim_time"} <= declared
    assert passed["use_sim_time"] == "true"


@pytest.mark.parametrize("path", CAMERAS, ids=lambda path: path.stem)
def test_a_camera_file_names_every_topic_of_its_streams(path: Path):
    topics = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(topics.pop("odom"), str)
    # Every machine runs what the README prints, with a GPU or without.
    assert topics.pop("backend", "auto") == "auto"
    assert set(topics) - NAMES <= set(MODALITIES), "streams, and parameters of the node"
    assert {"rgb", "depth"} <= set(topics)
    for stream in (topics[name] for name in MODALITIES if name in topics):
        assert set(stream) - {"aligned"} == {"image", "camera_info", "image_transport"}
        assert stream["image_transport"] in TRANSPORTS


def test_the_launch_file_offers_the_camera_files_there_are(launch):
    assert {*run("segmenter.launch.py")["CAMERAS"], "bag"} == {path.stem for path in CAMERAS}


def test_nav2_is_started_with_our_parameters_over_its_own(launch, monkeypatch, tmp_path):
    """nav2_bringup and launch have no wheels: stand-ins say where the one is, and where the other keeps its logs."""
    (tmp_path / "params").mkdir()
    own = {
        "local_costmap": {"local_costmap": {"ros__parameters": {"width": 3, "plugins": ["x"], "kept": 1}}},
        "amcl": 1,
    }
    (tmp_path / "params/nav2_params.yaml").write_text(yaml.safe_dump(own))
    packages: Any = ModuleType("ament_index_python.packages")
    packages.get_package_share_directory = lambda name: str(tmp_path) if name == "nav2_bringup" else ""
    monkeypatch.setitem(sys.modules, "ament_index_python.packages", packages)
    logs: Any = ModuleType("launch.logging")
    logs.launch_config = SimpleNamespace(get_log_file_path=lambda name: str(tmp_path / name))
    monkeypatch.setitem(sys.modules, "launch.logging", logs)
    file = run("nav2_example.launch.py")
    context = {argument.args[0]: argument.default_value for argument in file["ARGUMENTS"]}
    *_, nav2 = file["start"](context)
    given = dict(nav2.launch_arguments)
    assert given["use_sim_time"] == "false"
    found = yaml.safe_load(Path(given["params_file"]).read_text())
    local = found["local_costmap"]["local_costmap"]["ros__parameters"]
    assert (local["width"], local["kept"], found["amcl"]) == (6, 1, 1)
    assert local["plugins"] == ["obstacle_layer", "voxel_layer", "inflation_layer"]
    assert found["collision_monitor"]["ros__parameters"]["source_timeout"] == 0.3
    with pytest.raises(RuntimeError, match="no such file"):
        file["parameters"]("nothing_there", str(tmp_path / "params/nav2_params.yaml"), tmp_path / "found.yaml")
