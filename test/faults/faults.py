"""The faults: what cameras, odometry, clocks, other nodes and tools do to a segmenter in the field.

Each is a function of the ``World`` that goes on for a second or two at most, with what has to be said of it: part of a
sentence ``SUBJECT: message`` of the diagnostics, or nothing where being counted is enough.
"""

from __future__ import annotations

import math
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rosgraph_msgs.msg import Clock

from test.faults.world import PERIOD_S, World
from test.nodes.rig import HEIGHT, WIDTH, camera_info, image, stamp

S = 1_000_000_000
_TRIES = 5
Inject = Callable[[World], None]


@dataclass(frozen=True)
class Fault:
    """``quick`` ones are part of ``make test``."""

    name: str
    inject: Inject
    said: str = ""
    quick: bool = False

    def is_told_by(self, sentence: str) -> bool:
        """Whether ``sentence`` says it, be it behind what was wrong a second ago: a status has one message."""
        subject, _, message = self.said.rpartition(": ")
        return sentence.startswith(subject) and message in sentence


def inflict(w: World, fault: Fault) -> float:
    """A fault, until it was said (diagnostics come once a second), and the seconds that the recovery took."""
    w.good(2)
    w.forget()
    for _ in range(_TRIES):
        fault.inject(w)
        if any(map(fault.is_told_by, w.seen.sentences)) or not fault.said:
            break
    else:
        raise AssertionError(f"nothing like {fault.said!r} in {sorted(w.seen.sentences)}")
    w.check()
    recovery_s = w.recover()
    w.check()
    return recovery_s


FAULTS: dict[str, Fault] = {}
CLOCK_FAULTS: dict[str, Fault] = {}
COMPRESSED_FAULTS: dict[str, Fault] = {}


def fault(said: str = "", quick: bool = False, of: dict[str, Fault] = FAULTS) -> Callable[[Inject], Inject]:
    def register(inject: Inject) -> Inject:
        name = inject.__name__
        of[name] = Fault(name, inject, said, quick)
        return inject

    return register


def several(said: str = "", quick: Any = (), **cases: Inject) -> None:
    for name, inject in cases.items():
        FAULTS[name] = Fault(name, inject, said, name in quick)


# -- stamps


def stamped(ahead_s: float) -> Inject:
    return lambda w: w.bad("rgb", "depth", ahead_ns=round(ahead_s * S))


several(
    "ahead of the clock",
    quick=("stamps_5_s_ahead",),
    stamps_5_s_ahead=stamped(5),
    stamps_a_fifth_of_a_second_ahead=stamped(0.2),
    stamps_a_year_ahead=stamped(365 * 86400),
)
several(
    "",
    quick=("stamps_5_s_behind", "stamps_two_years_behind"),
    stamps_5_s_behind=stamped(-5),
    stamps_two_years_behind=stamped(-7e7),
)


@fault()
def stamps_of_zero(w: World) -> None:
    for _ in range(6):
        w.tick()
        w.robot.send("rgb", "depth", stamp_ns=1)


@fault()
def stamps_at_the_end_of_time(w: World) -> None:
    for _ in range(6):
        w.tick()
        w.robot.send("rgb", "depth", stamp_ns=(2**31 - 1) * S + 999_999_999)


@fault()
def one_stamp_for_ever(w: World) -> None:
    at = w.now()
    for _ in range(6):
        w.tick()
        w.robot.send("rgb", "depth", stamp_ns=at)


@fault()
def stamps_that_run_backwards(w: World) -> None:
    at = w.now()
    for i in range(8):
        w.tick()
        w.robot.send("rgb", "depth", stamp_ns=at - i * 33_000_000)


@fault()
def stamps_that_jump_back_and_forth(w: World) -> None:
    for i in range(8):
        w.tick()
        w.robot.send("rgb", "depth", stamp_ns=w.now() - (i % 2) * 3 * S)


@fault("", quick=True)
def cameras_that_never_pair(w: World) -> None:
    for _ in range(15):
        w.tick(0.1)
        at = w.now()
        w.robot.send("rgb", stamp_ns=at)
        w.robot.send("depth", stamp_ns=at - 50_000_000, odom=False)


# -- images


def spoilt(stream: str, **changes: Any) -> Inject:
    """Images of one stream with fields changed, beside good ones of the other."""

    def inject(w: World) -> None:
        for _ in range(6):
            w.tick()
            at = w.now()
            message = getattr(w.robot, stream)(at)
            for name, value in changes.items():
                setattr(message, name, value)
            w.robot.send("rgb", "depth", stamp_ns=at, **{stream: message})

    return inject


several(
    "input rgb: ",
    quick=("rgb_of_an_unknown_encoding", "rgb_that_claims_gigapixels"),
    rgb_of_an_unknown_encoding=spoilt("rgb", encoding="rgb48"),
    rgb_with_an_encoding_of_10_kB=spoilt("rgb", encoding="x" * 10_000),
    rgb_without_data=spoilt("rgb", data=b""),
    rgb_that_claims_gigapixels=spoilt("rgb", width=2**31, height=2**31, step=2**32 - 1),
    rgb_of_no_size=spoilt("rgb", width=0, height=0),
    rgb_of_step_zero=spoilt("rgb", step=0),
    rgb_of_a_step_beyond_its_data=spoilt("rgb", step=2**32 - 1),
)
several(
    "input depth: ",
    quick=("depth_as_a_colour_picture",),
    depth_as_a_colour_picture=spoilt("depth", encoding="bgr8"),
    depth_cut_short=spoilt("depth", data=b"\0" * 100),
    depth_of_negative_height=spoilt("depth", height=2**32 - 1),
)
several(depth_of_the_other_byte_order=spoilt("depth", is_bigendian=1))


@fault()
def images_of_no_frame(w: World) -> None:
    for _ in range(6):
        w.tick()
        at = w.now()
        images = {stream: getattr(w.robot, stream)(at) for stream in ("rgb", "depth")}
        for message in images.values():
            message.header.frame_id = ""
        w.robot.send("rgb", "depth", stamp_ns=at, **images)


def depth_of(value: float, kind: type = np.float32) -> Inject:
    def inject(w: World) -> None:
        encoding = "32FC1" if kind is np.float32 else "16UC1"
        for _ in range(8):
            w.tick()
            at = w.now()
            values = np.full((HEIGHT, WIDTH), value, kind)
            values[0, 0] = np.random.default_rng(at).uniform(1, 2)  # never the same content
            w.robot.send("rgb", "depth", stamp_ns=at, depth=image(values, encoding, at))

    return inject


several(
    "input depth: depth measures next to nothing",
    quick=("depth_of_20_m",),
    depth_of_20_m=depth_of(20.0),
    depth_of_nothing_but_nan=depth_of(math.nan),
    depth_of_infinity=depth_of(math.inf),
    depth_below_zero=depth_of(-1.0),
    depth_of_zeros=depth_of(0, np.uint16),
    depth_of_a_lens_cap=depth_of(0.01),
)


@fault("", quick=True)
def images_of_other_sizes(w: World) -> None:
    for _ in range(6):
        w.tick()
        at = w.now()
        w.robot.send("rgb", "depth", stamp_ns=at, rgb=w.robot.rgb(at, (WIDTH + 2, HEIGHT)))


@fault("pipeline: ")
def an_image_many_times_the_size(w: World) -> None:
    for _ in range(6):
        w.tick()
        at = w.now()
        w.robot.send("rgb", "depth", stamp_ns=at, rgb=w.robot.rgb(at, (WIDTH * 8, HEIGHT * 8)))


@fault()
def a_burst_of_pairs(w: World) -> None:
    at = w.now()
    for i in range(100):
        w.robot.send("rgb", "depth", stamp_ns=at - (100 - i) * 1_000_000)
    w.tick(0.2)


# -- streams that are missing, frozen, or two


@fault("mode: depth is missing", quick=True)
def depth_dead(w: World) -> None:
    w.bad("rgb", seconds=0.8)


@fault("mode: rgb is missing")
def rgb_dead(w: World) -> None:
    w.bad("depth", seconds=0.8)


@fault("mode: rgb+depth is missing", quick=True)
def both_dead(w: World) -> None:
    w.tick(0.8)


def frozen(*contents: int) -> Inject:
    """Depth of a camera that gives out its last buffers in turn, under new stamps."""

    def inject(w: World) -> None:
        buffers = [np.full((HEIGHT, WIDTH), 1500 + content, np.uint16) for content in contents]
        for i in range(14):
            w.tick()
            at = w.now()
            w.robot.send("rgb", "depth", stamp_ns=at, depth=image(buffers[i % len(buffers)], "16UC1", at))

    return inject


several(
    "mode: depth is missing",
    quick=("frozen_with_two_buffers",),
    frozen=frozen(0),
    frozen_with_two_buffers=frozen(0, 1),
    frozen_with_four_buffers=frozen(0, 1, 2, 3),
)


# -- odometry


def odometry(said_x: float = 0.0, w_of: float = 1.0, frame: str = "odom", ahead_s: float = 0.0) -> Inject:
    def inject(w: World) -> None:
        for _ in range(6):
            w.tick()
            at = w.now()
            message = w.robot.odom(at, said_x, frame)
            message.header.stamp = stamp(max(at + round(ahead_s * S), 0))
            message.pose.pose.orientation = Quaternion(w=w_of)
            w.robot.odometry.publish(message)
            w.robot.send("rgb", "depth", stamp_ns=at, odom=False)
        w.tick(0.3)

    return inject


several(
    "",
    quick=("odometry_at_1e308", "odometry_of_nan", "odometry_in_another_frame"),
    odometry_at_1e308=odometry(1e308),
    odometry_at_1e15=odometry(1e15),
    odometry_of_nan=odometry(math.nan),
    odometry_of_infinity=odometry(-math.inf),
    odometry_without_orientation=odometry(w_of=0.0),
    odometry_of_a_huge_orientation=odometry(w_of=1e300),
    odometry_in_another_frame=odometry(frame="map"),
    odometry_without_a_frame=odometry(frame=""),
    odometry_from_the_future=odometry(ahead_s=1000),
    odometry_from_the_past=odometry(ahead_s=-1000),
)


@fault("", quick=True)
def odometry_that_jumps(w: World) -> None:
    for i in range(6):
        w.tick()
        at = w.now()
        w.robot.odometry.publish(w.robot.odom(at, 100.0 * (i % 2)))
        w.robot.send("rgb", "depth", stamp_ns=at, odom=False)
    w.tick(0.7)


@fault()
def odometry_in_frames_that_alternate(w: World) -> None:
    for i in range(8):
        w.tick()
        at = w.now()
        w.robot.odometry.publish(w.robot.odom(at, 0.0, ("odom", "map")[i % 2]))
        w.robot.send("rgb", "depth", stamp_ns=at, odom=False)
    w.tick(0.7)


@fault()
def no_odometry(w: World) -> None:
    w.bad("rgb", "depth", seconds=0.9, odom=False)


# -- camera_info


def calibrated(**changes: Any) -> Inject:
    def inject(w: World) -> None:
        message = camera_info()
        for name, value in changes.items():
            setattr(message, name, value)
        for _ in range(6):
            w.tick()
            w.robot.infos["rgb"].publish(message)
            w.robot.infos["depth"].publish(message)
            w.robot.send("rgb", "depth", stamp_ns=w.now(), info=False)

    return inject


def k_of(focal: float, centre: float = 30.0) -> list[float]:
    return [focal, 0.0, centre, 0.0, focal, centre, 0.0, 0.0, 1.0]


several(
    "",
    quick=("camera_info_of_zeros",),
    camera_info_of_zeros=calibrated(k=[0.0] * 9),
    camera_info_of_nan=calibrated(k=k_of(math.nan)),
    camera_info_of_infinity=calibrated(k=k_of(math.inf)),
    camera_info_of_a_focal_length_of_a_thousandth=calibrated(k=k_of(1e-3)),
    camera_info_of_a_negative_focal_length=calibrated(k=k_of(-60.0)),
    camera_info_of_1e300=calibrated(k=k_of(1e300, 1e300)),
    camera_info_of_no_size=calibrated(width=0, height=0),
    camera_info_of_another_size=calibrated(width=WIDTH * 2, height=HEIGHT * 2),
)


# -- other nodes and tools


def transition(number: int) -> Inject:
    """A transition by id, as nav2_lifecycle_manager asks for one, to an active node."""

    def inject(w: World) -> None:
        request = ChangeState.Request(transition=Transition(id=number))
        assert not w.robot.call(ChangeState, "change_state", request).success
        w.good(2)

    return inject


several(
    quick=("configure_while_active", "cleanup_while_active"),
    configure_while_active=transition(Transition.TRANSITION_CONFIGURE),
    activate_while_active=transition(Transition.TRANSITION_ACTIVATE),
    cleanup_while_active=transition(Transition.TRANSITION_CLEANUP),
    a_transition_that_does_not_exist=transition(201),
)


def parameter(name: str, **value: Any) -> Inject:
    def inject(w: World) -> None:
        parameters = [Parameter(name=name, value=ParameterValue(**value))]
        answer = w.robot.call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters))
        assert not any(result.successful for result in answer.results)
        w.good(2)

    return inject


several(
    quick=("a_parameter_of_type_11",),
    a_parameter_of_type_11=parameter("min_rate_hz", type=11),
    a_parameter_of_type_255=parameter("min_rate_hz", type=255),
    a_parameter_of_another_type=parameter("min_rate_hz", type=4, string_value="fast"),
    a_parameter_of_nan=parameter("min_rate_hz", type=3, double_value=math.nan),
    a_parameter_out_of_range=parameter("costmap.resolution_m", type=3, double_value=1e-9),
    a_parameter_that_is_fixed=parameter("model", type=4, string_value="another"),
)


@fault("", quick=True)
def deactivated_and_activated(w: World) -> None:
    assert w.robot.change("deactivate")
    w.robot.spin(0.2)
    assert w.robot.change("activate")
    w.robot.meet()
    deadline = time.monotonic() + 20
    while "mode: normal" not in w.seen.sentences and time.monotonic() < deadline:
        w.good()


# -- a simulated clock


@fault("", of=CLOCK_FAULTS)
def a_clock_that_stops(w: World) -> None:
    until = time.monotonic() + 1.4
    while time.monotonic() < until:
        w.robot.send("rgb", "depth", stamp_ns=w.clock_ns)
        w.robot.spin(PERIOD_S)


@fault("", of=CLOCK_FAULTS)
def a_clock_that_jumps_back(w: World) -> None:
    w.clock_ns -= 20 * S
    w.tick(0.8)


@fault("", of=CLOCK_FAULTS)
def a_clock_that_jumps_ahead(w: World) -> None:
    w.clock_ns += 1000 * S
    w.tick(0.8)


@fault("", of=CLOCK_FAULTS)
def a_clock_below_zero(w: World) -> None:
    for _ in range(4):
        w.clock.publish(Clock(clock=type(stamp(0))(sec=-5, nanosec=0)))
        w.robot.spin(PERIOD_S)
    w.tick(0.8)


@fault("", of=CLOCK_FAULTS)
def a_clock_in_steps_of_2_s_over_dead_cameras(w: World) -> None:
    for _ in range(6):
        w.clock_ns += 2 * S
        w.clock.publish(Clock(clock=stamp(w.clock_ns)))
        w.robot.spin(0.2)


# -- compressed images


@fault("8192x8192, the image before it is", of=COMPRESSED_FAULTS)
def a_png_bomb(w: World) -> None:
    """130 kB that take 200 MB to decode, three times a second."""
    before_kb = w.resident_kb()
    data = png_bomb(8192, 8192)
    for _ in range(6):
        w.tick(0.3)
        at = w.now()
        message = w.compressed(w.robot.rgb(at))
        message.data = data
        w.robot.send("rgb", "depth", stamp_ns=at, rgb=message)
        w.seen.good.append(time.monotonic())  # depth is, and the policy is to go on with it
    grown_mb = (w.resident_kb() - before_kb) / 1000
    assert grown_mb < 50, f"{grown_mb:.0f} MB for images that are not decoded"


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of one colour whose pixels take thousands of times its bytes."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    rows = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
