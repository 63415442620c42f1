"""Boxes as messages: the fields of the definitions, and nothing made for nobody."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

pytest.importorskip("rclpy")

from gemini_ros.core.boxes import Box
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.nodes.segmenter import box_topics, label_info
from gemini_ros.nodes.segmenter.box_topics import BoxTopics
from gemini_ros.nodes.tool import tool_node
from gemini_ros.pipeline.detections import Detections
from test.nodes.listener import listening
from test.nodes.rig import live_node, robot

LABELS = load_label_set("warehouse")
PERSON = LABELS.names.index("person")
BOX = Box(PERSON, 0.75, (3.0, 1.0, 0.9), (0.6, 0.4, 1.8), np.pi / 2, (10, 20, 30, 60), True, False, (0.0, 1.2), 7)
FRAME = Frame(5_000_000_000, "camera", depth=np.ones((4, 4), np.float32))

# The fields that are written, of visualization_msgs 5 and vision_msgs 4.1.
FIELDS = {
    "Marker": "header ns id type action pose scale color lifetime points text",
    "MarkerArray": "markers",
    "Detection3DArray": "header detections",
    "Detection3D": "header results bbox id",
    "Detection2DArray": "header detections",
    "Detection2D": "header results bbox id",
    "BoundingBox3D": "center size",
    "BoundingBox2D": "center size_x size_y",
    "Pose2D": "position theta",
    "Point2D": "x y",
    "ObjectHypothesis": "class_id score",
    "ObjectHypothesisWithPose": "hypothesis pose",
}


def message(name: str) -> Any:
    def made(**values: Any) -> SimpleNamespace:
        assert set(values) <= set(FIELDS[name].split()), name
        return SimpleNamespace(**values)

    return made


def published(monkeypatch, subscribers: int, packages: tuple[str, ...]) -> dict[str, list[Any]]:
    """What is sent of a box on each topic."""
    kept: dict[str, list[Any]] = {}
    module = SimpleNamespace(**{name: message(name) for name in FIELDS})
    for place, package in ((box_topics, "visualization_msgs"), (label_info, "vision_msgs")):
        there = module if package in packages else None
        monkeypatch.setattr(place, "installed", lambda there=there: there)

    def create_publisher(_kind: Any, topic: str, _qos: Any) -> Any:
        kept[topic] = []
        return SimpleNamespace(publish=kept[topic].append, get_subscription_count=lambda: subscribers)

    topics = BoxTopics(SimpleNamespace(create_publisher=create_publisher), LABELS)  # type: ignore[arg-type]
    assert topics.wanted == bool(subscribers and packages)
    topics.publish(Detections(FRAME.stamp_ns, "odom", (BOX,)), FRAME)
    return kept


def test_a_box_is_a_cube_with_a_name_and_an_arrow_and_a_detection(monkeypatch):
    kept = published(monkeypatch, 1, ("visualization_msgs", "vision_msgs"))
    assert set(kept) == {"~/markers", "~/detections", "~/detections_2d"}
    removed, cube, name, arrow = kept["~/markers"][0].markers
    assert (removed.action, cube.type, name.type, arrow.type) == (3, 1, 9, 0)
    assert name.text == "person 7 0.75 truncated"
    assert (cube.header.frame_id, cube.header.stamp.sec, cube.id) == ("odom", 5, 7)
    assert (cube.scale.x, cube.scale.y, cube.scale.z) == BOX.size
    assert (arrow.points[1].x, arrow.points[1].y) == (3.0, 2.2)
    (solid,) = kept["~/detections"][0].detections
    assert (solid.id, solid.bbox.size.z, solid.bbox.center.position.x) == ("7", 1.8, 3.0)
    assert solid.bbox.center.orientation.w == pytest.approx(np.sqrt(0.5))
    assert (solid.results[0].hypothesis.class_id, solid.results[0].hypothesis.score) == ("person", 0.75)
    (flat,) = kept["~/detections_2d"][0].detections
    assert (flat.header.frame_id, flat.bbox.center.position.x, flat.bbox.size_y) == ("camera", 25.0, 60.0)


def test_nothing_is_made_for_nobody_nor_without_the_packages(monkeypatch):
    assert not any(published(monkeypatch, 0, ("visualization_msgs", "vision_msgs")).values())
    assert published(monkeypatch, 1, ()) == {}


def test_markers_arrive_over_dds_while_somebody_listens(ros_environment):
    drawn = box_topics.installed()
    if drawn is None:
        pytest.skip("visualization_msgs is not installed")
    with tool_node("segmenter") as node, listening({"/segmenter/markers": (drawn.MarkerArray, box_topics.QOS)}) as ear:
        topics = BoxTopics(node, LABELS)
        ear.spin_until(lambda: topics.wanted)
        topics.publish(Detections(FRAME.stamp_ns, "odom", (BOX,)), FRAME)
        ear.spin_until(lambda: ear.messages("/segmenter/markers"))
        topics.close()
    _, cube, name, arrow = ear.messages("/segmenter/markers")[0].markers
    assert (cube.header.frame_id, cube.id, cube.scale.z, name.text) == ("odom", 7, 1.8, "person 7 0.75 truncated")
    assert len(arrow.points) == 2


@pytest.mark.parametrize("store", [Stores.ROS2_HUMBLE, Stores.ROS2_JAZZY, Stores.ROS2_KILTED])
def test_markers_have_the_fields_and_constants_of_each_distribution(store: Stores):
    definitions = get_typestore(store).fielddefs
    for name in ("Marker", "MarkerArray"):
        fields = {field for field, _ in definitions[f"visualization_msgs/msg/{name}"][1]}
        assert set(FIELDS[name].split()) <= fields
    constants = {name: value for name, _, value in definitions["visualization_msgs/msg/Marker"][0]}
    used = {"ARROW": box_topics.ARROW, "CUBE": box_topics.CUBE, "TEXT_VIEW_FACING": box_topics.TEXT}
    used |= {"ADD": box_topics.ADD, "DELETEALL": box_topics.DELETE_ALL}
    assert {name: constants[name] for name in used} == used


@pytest.mark.parametrize("installed", [box_topics.installed, label_info.installed], ids=["markers", "detections"])
def test_installed_messages_have_the_fields(installed: Callable[[], Any]):
    if (module := installed()) is None:
        pytest.skip("the messages are not installed")
    found = {name: fields for name, fields in FIELDS.items() if hasattr(module, name)}
    assert found
    for name, fields in found.items():
        assert set(fields.split()) <= set(getattr(module, name).get_fields_and_field_types())


@pytest.mark.slow
def test_the_diagnostics_say_why_there_are_no_boxes_while_somebody_wants_them(ros_environment):
    drawn = box_topics.installed()
    if drawn is None:
        pytest.skip("visualization_msgs is not installed")
    with live_node(label_set="warehouse") as _, robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"], "rgb", "depth", odom=False)
        assert "boxes" not in r.diagnostics
        r.node.create_subscription(drawn.MarkerArray, "segmenter/markers", lambda _: None, 10)

        def said() -> str:
            return r.diagnostics["boxes"].message if "boxes" in r.diagnostics else ""

        r.send_until(lambda: said().startswith("no boxes: "), "rgb", "depth", odom=False)
        assert "odom" in said()
        r.send_until(lambda: said() == "looking" and r.figures("boxes"), "rgb", "depth")
        assert int(r.figures("boxes")["boxes"]) >= 0
