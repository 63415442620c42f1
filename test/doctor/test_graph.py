"""Graphs with one thing wrong at a time, and what is said of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.core.calibration import ImageTrack
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.resources import find_resource
from gemini_ros.doctor.findings import Finding, worst
from gemini_ros.doctor.graph import (
    Endpoint,
    Graph,
    Image,
    StreamSeen,
    graph_findings,
    stamp_offset_ms,
)
from gemini_ros.pipeline.cameras import COMPRESSED_IMAGE, IMAGE, StreamTopics
from test.moving_scene import SIZE, MovingScene

MS = 1_000_000
START = 1_700_000_000_000 * MS
OURS = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(find_resource("config/fastdds.xml"))}
CAMERA = Endpoint("/camera", IMAGE, reliable=False, latched=False, environment=OURS)
SEGMENTER = Endpoint("/segmenter", IMAGE, reliable=False, latched=False)
INTRINSICS = Intrinsics(640, 480, 500.0, 500.0, 320.0, 240.0)


def images(*, hz: float = 15.0, count: int = 30, ahead_ms: float = 0.0, late_ms: float = 0.0, frame: str = "camera"):
    """Stamped ``ahead_ms`` of the moment they show, arriving ``late_ms`` after it."""
    moments = [START + round(i * 1e9 / hz) for i in range(count)]
    return tuple(
        Image(moment + round(ahead_ms * MS), moment + round(late_ms * MS), frame, 640 * 480 * 3) for moment in moments
    )


def stream(name: str, **changes: object) -> StreamSeen:
    seen = StreamSeen(
        topics=StreamTopics(f"/{name}/image", f"/{name}/camera_info", "raw"),
        publishers=(CAMERA,),
        subscribers=(SEGMENTER,),
        images=images(),
        size=(640, 480),
        intrinsics=INTRINSICS,
    )
    return dataclasses.replace(seen, **changes)


def graph(**streams: StreamSeen) -> Graph:
    seen = {"rgb": stream("rgb"), "depth": stream("depth"), **streams}
    return Graph("rmw_fastrtps_cpp", "7", ("/camera",), ("/rgb/image", "/depth/image"), False, seen)


def wrong(**streams: StreamSeen) -> Finding:
    """The one thing that is wrong with this graph."""
    (finding,) = [finding for finding in graph_findings(graph(**streams)) if finding.next]
    return finding


def test_nothing_is_wrong_with_a_graph_as_it_should_be() -> None:
    found = {finding.what: finding for finding in graph_findings(graph())}
    assert worst(found.values()) == "ok"
    assert found["rgb image"].found == "/rgb/image: 640x480, 15.0 Hz, frame 'camera'"
    assert found["rgb QoS"].found == "best effort from /camera, best effort to /segmenter"
    assert found["depth offset"].found == "stamps +0 ms from those of rgb"
    assert "fx 500.0" in found["intrinsics"].found


def test_an_empty_graph_and_an_unknown_camera() -> None:
    empty = dataclasses.replace(graph(), nodes=(), images=(), streams={})
    (finding,) = graph_findings(empty)
    assert finding.verdict == "warn" and "domain 7" in finding.found and "ROS_DOMAIN_ID" in finding.next
    unknown = dataclasses.replace(graph(), images=("/front/image",), streams={})
    assert "/front/image" in graph_findings(unknown)[1].found and "--camera" in graph_findings(unknown)[1].next


def test_a_stream_without_a_publisher() -> None:
    finding = wrong(depth=stream("depth", publishers=(), images=(), size=None, intrinsics=None))
    assert (finding.what, finding.verdict) == ("depth image", "error")
    assert "no publisher of /depth/image" in finding.found and "/rgb/image" in finding.found


def test_thermal_is_missed_only_where_somebody_wants_it() -> None:
    unwanted = stream("thermal", publishers=(), subscribers=(), images=(), size=None, intrinsics=None)
    assert worst(graph_findings(graph(thermal=unwanted))) == "ok"
    assert wrong(thermal=dataclasses.replace(unwanted, subscribers=(SEGMENTER,))).what == "thermal image"


def test_a_publisher_of_which_nothing_arrives() -> None:
    finding = wrong(depth=stream("depth", images=(), size=None, intrinsics=None))
    assert finding.verdict == "error" and "nothing arrives" in finding.found


def test_another_type_under_the_name() -> None:
    compressed = dataclasses.replace(CAMERA, type_name=COMPRESSED_IMAGE)
    finding = wrong(depth=stream("depth", publishers=(compressed,), images=(), size=None, intrinsics=None))
    assert COMPRESSED_IMAGE in finding.found and "depth.image_transport" in finding.next


@pytest.mark.parametrize("reliable, latched, word", [(True, False, "reliable"), (False, True, "transient local")])
def test_a_subscriber_that_asks_for_more_than_is_offered(reliable: bool, latched: bool, word: str) -> None:
    viewer = Endpoint("/viewer", IMAGE, reliable, latched)
    finding = wrong(rgb=stream("rgb", subscribers=(SEGMENTER, viewer)))
    assert (finding.what, finding.verdict) == ("rgb QoS", "error")
    assert f"/viewer asks for {word}, /camera does not offer it" in finding.found
    offering = dataclasses.replace(CAMERA, reliable=True, latched=True)
    assert worst(graph_findings(graph(rgb=stream("rgb", publishers=(offering,), subscribers=(viewer,))))) == "ok"


def test_an_encoding_that_cannot_be_used_comes_with_its_cure() -> None:
    fault = "thermal image of encoding 'rgb8', expected mono16: subscribe to the raw values"
    finding = wrong(thermal=stream("thermal", size=None, fault=fault))
    assert (finding.found, finding.next) == (
        "thermal image of encoding 'rgb8', expected mono16",
        "subscribe to the raw values",
    )


@pytest.mark.parametrize("hz, verdict", [(1.0, "error"), (2.0, "error"), (2.5, "warn"), (4.9, "warn"), (5.1, "ok")])
def test_a_slow_stream(hz: float, verdict: str) -> None:
    slow = graph(depth=stream("depth", images=images(hz=hz)))
    finding = next(finding for finding in graph_findings(slow) if finding.what == "depth image")
    assert finding.verdict == verdict
    assert f"{hz:.1f} Hz" in finding.found


def test_too_few_images_for_a_rate() -> None:
    assert "only 2 arrived" in wrong(depth=stream("depth", images=images(count=2))).found


def test_loss_and_a_publisher_that_will_lose() -> None:
    assert "15 of 45 images lost" in wrong(rgb=stream("rgb", lost=15)).found
    without = dataclasses.replace(CAMERA, environment={})
    finding = wrong(rgb=stream("rgb", publishers=(without,)))
    assert finding.what == "rgb transport" and "0.52 MB of shared memory in the publisher" in finding.found
    assert "config/fastdds.xml" in finding.next


def test_sizes_frames_and_intrinsics() -> None:
    finding = wrong(depth=stream("depth", size=(848, 480)))
    assert (finding.what, finding.found) == ("sizes", "rgb 640x480, depth 848x480")
    assert "align_depth" in finding.next
    other = wrong(depth=stream("depth", images=images(frame="depth")))
    assert (other.what, other.verdict) == ("frames", "warn")
    unknown = wrong(depth=stream("depth", images=images(frame="depth"), intrinsics=None))
    assert (unknown.verdict, "no camera_info of depth" in unknown.next) == ("error", True)
    assert "registration.depth.aligned: true" in other.next
    by_name = StreamTopics("/aligned_depth_to_color/image", "/depth/camera_info", "raw")
    by_file = StreamTopics("/depth/image", "/depth/camera_info", "raw", aligned=True)
    for topics in (by_name, by_file):
        aligned = dataclasses.replace(stream("depth", images=images(frame="depth")), topics=topics)
        assert worst(graph_findings(graph(depth=aligned))) == "ok"
    assert "frame_id" in wrong(depth=stream("depth", images=images(frame=""))).next
    missing = wrong(rgb=stream("rgb", intrinsics=None), depth=stream("depth", intrinsics=None, info_fault="fx 0.0"))
    assert (missing.what, missing.verdict) == ("intrinsics", "error")
    assert "/rgb/camera_info: nothing arrives" in missing.found and "fx 0.0" in missing.found
    assert worst(graph_findings(graph(rgb=stream("rgb", intrinsics=None)))) == "ok"
    other = dataclasses.replace(INTRINSICS, width=1280, height=720)
    assert "1280x720" in wrong(rgb=stream("rgb", intrinsics=other)).found


def test_stamps_of_another_day() -> None:
    late = images(ahead_ms=-3_600_000)
    found = graph_findings(graph(rgb=stream("rgb", images=late), depth=stream("depth", images=late)))
    faults = [finding for finding in found if finding.next]
    assert [finding.what for finding in faults] == ["rgb clock", "depth clock"]
    assert "3.6e+03 s behind" in faults[0].found
    replayed = dataclasses.replace(
        graph(rgb=stream("rgb", images=late), depth=stream("depth", images=late)), simulated=True
    )
    assert worst(graph_findings(replayed)) == "ok"


@pytest.mark.parametrize("hz", [10.0, 15.0, 30.0])
@pytest.mark.parametrize("offset_ms", [80.0, -80.0, 25.0])
def test_an_offset_of_stamps_is_measured_beyond_a_period(hz: float, offset_ms: float) -> None:
    """At 30 Hz some stamp is always within 17 ms: which one belongs to it is told by the arrival."""
    base, other = images(hz=hz, late_ms=12), images(hz=hz, late_ms=20, ahead_ms=offset_ms)
    finding = wrong(rgb=stream("rgb", images=base), depth=stream("depth", images=other))
    assert (finding.what, finding.verdict) == ("depth offset", "error")
    assert f"{offset_ms:+.0f} ms" in finding.found
    assert finding.next.endswith(f"sync.offset_s.depth: {-offset_ms / 1e3:.3f}")


@pytest.mark.parametrize("late_ms", [0.0, 45.0, 120.0])
def test_a_depth_image_that_takes_its_time_has_no_offset(late_ms: float) -> None:
    found = graph(rgb=stream("rgb", images=images(hz=30)), depth=stream("depth", images=images(hz=30, late_ms=late_ms)))
    assert worst(graph_findings(found)) == "ok"


@given(
    hz=st.sampled_from([5.0, 15.0, 30.0]),
    offset_ms=st.floats(-300, 300),
    late_ms=st.tuples(st.floats(0, 10), st.floats(0, 10)),
    lost=st.sets(st.integers(1, 28), max_size=8),
)
def test_offsets_are_found_whatever_arrives(hz, offset_ms, late_ms, lost: Sequence[int]) -> None:
    base = stream("rgb", images=images(hz=hz, late_ms=late_ms[0]))
    kept = [image for i, image in enumerate(images(hz=hz, late_ms=late_ms[1], ahead_ms=offset_ms)) if i not in lost]
    remainder = (offset_ms + 500 / hz) % (1000 / hz) - 500 / hz
    if abs(remainder) <= 1.5:  # as if one trigger made both
        return
    found = stamp_offset_ms(base, stream("depth", images=tuple(kept)))
    assert found == pytest.approx(offset_ms, abs=0.01)


def test_single_images_have_an_offset_too() -> None:
    one, other = (stream("rgb", images=images(count=1, ahead_ms=ahead)) for ahead in (0, 30))
    assert stamp_offset_ms(one, other) == pytest.approx(30)


def test_the_motion_of_the_images_tells_an_offset_that_the_stamps_cannot() -> None:
    """Depth comes at once and RGB late: by stamps and arrival it is 60 ms, by what is seen 100 ms."""
    scene, tracks, seen = MovingScene(), {}, {}
    for name, ahead_s in (("rgb", 0.0), ("depth", 0.1)):
        tracks[name] = ImageTrack(name, SIZE)
        for stamp_ns, image in scene.images(name, np.arange(40) / 15, ahead_s):
            tracks[name].add(image, stamp_ns)
        arrived = images(count=40, ahead_ms=1e3 * ahead_s, late_ms=40 if name == "depth" else 0)
        seen[name] = stream(name, images=arrived, size=SIZE, track=tracks[name])
    told = next(finding for finding in graph_findings(graph(**seen)) if finding.what == "depth offset")
    assert told.verdict == "error" and "(by the motion of the images, " in told.found
    assert float(told.found.split()[1]) == pytest.approx(100, abs=5)
    assert float(told.next.split()[-1]) == pytest.approx(-0.1, abs=0.005)
