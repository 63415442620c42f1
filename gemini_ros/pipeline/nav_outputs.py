"""What Nav2 takes of a frame beside labels and map: clouds, a scan, and images with an organised cloud of one size.

Empty is not silent: a frame that shows nothing in the way gives clouds of no points; one that does not tell gives none,
so that Nav2's ``expected_update_rate`` and ``source_timeout`` notice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.clouds import CloudMaker, Clouds, organised
from gemini_ros.core.costmap import AHEAD_NS, CostmapConfig, Occupancy
from gemini_ros.core.costmap.forgetting import Ages
from gemini_ros.core.costmap.scan import Scan, Scanner
from gemini_ros.core.costmap.speed import SpeedMask
from gemini_ros.core.frames import Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.settings import Settings

LATE = "the frame is"
_SECOND_NS = 1_000_000_000


class NavOutputs:
    """Clouds and scans of the frames that ``mapper`` has just taken in. One thread at a time.

    ``silence`` is why the last frame gave none, empty if it gave some.
    """

    def __init__(self, mapper: Mapper, settings: Settings) -> None:
        self.silence = ""
        self._mapper, self._voxel_m, self._max_age_s = mapper, settings.voxel_m, settings.max_age_s
        self._makers: tuple[CostmapConfig, CloudMaker, Scanner] | None = None
        self._warm = False
        self._speed: SpeedMask | None = None
        self._speed_in: object = None
        self._drawn_ns = 0

    def warm_up(self) -> None:
        """Compile (or load) the kernels."""
        CloudMaker(0.0, 1.0).warm_up()
        Scanner(CostmapConfig()).warm_up()
        self._warm = True

    def tells(self, seen: Seen, now: Instant) -> bool:
        """Whether the frame that the mapper has taken in says what is in the way, and is not late."""
        self.silence = self._mapper.silence or self.late(seen, now)
        return not self.silence

    def late(self, seen: Seen, now: Instant) -> str:
        """Why a frame is too old to be handed to what looks at the age of messages by when they come; else empty."""
        ages_ns = now.clock_ns - seen.time_ns, *(a - b for a, b in zip(now, seen.receipt, strict=True))
        age_s = max(ages_ns) / 1e9
        if not self._max_age_s or (age_s <= self._max_age_s and min(ages_ns) >= -AHEAD_NS):
            return ""
        return f"{LATE} {age_s:.2f} s old, expected outputs.max_age_s {self._max_age_s:g}"

    def clouds(self) -> Clouds:
        """Of a frame that ``tells``; valid until the next."""
        look = self._mapper.look
        assert look is not None
        return self._made(look.config)[0].make(look.segmentation, look.depth, look.levels, look.intrinsics, look.reader)

    def scan(self, seen: Seen, now: Instant) -> Scan | None:
        """Of a frame that ``tells``, from its map; ``None`` where the map is not of the frame any more."""
        look = self._mapper.look
        assert look is not None
        occupancy, frame = self._mapper.render_frame(seen, now)
        scanner = self._made(look.config)[1]
        if occupancy.stamp_ns != seen.stamp_ns or frame != look.pose.frame or len(occupancy.data) != look.config.cells:
            return None
        return scanner.scan(occupancy, look.pose.robot, look.intrinsics, look.base_from_camera)

    def speed(self, label_set: LabelSet, seen: Seen, ground: np.ndarray) -> Occupancy | None:
        """The mask with the ground of a frame that ``tells``, once a second; ``None`` in between."""
        look, stamp_ns = self._mapper.look, min(seen.time_ns, seen.receipt.clock_ns)
        assert look is not None
        place = look.config, look.pose.frame, tuple(self._mapper.clearings.most_common())
        if self._speed is None or self._speed_in != place or stamp_ns < self._drawn_ns:
            self._speed, self._speed_in, self._drawn_ns = (
                SpeedMask(look.config, label_set),
                place,
                stamp_ns - _SECOND_NS,
            )
        if look.pose.frame == self._mapper.base_frame:
            self._speed.clear()  # such a grid must not accumulate
        at = Ages(stamp_ns, seen.receipt.steady_ns)
        self._speed.take(ground, look.pose.grid_from_camera, look.pose.robot[:2], at)
        if stamp_ns - self._drawn_ns < _SECOND_NS:
            return None
        self._drawn_ns = stamp_ns
        return self._speed.draw(at, seen.stamp_ns)

    def _made(self, config: CostmapConfig) -> tuple[CloudMaker, Scanner]:
        if self._makers is None or self._makers[0] != config:
            maker, scanner = CloudMaker(self._voxel_m, config.range_m), Scanner(config)
            if self._warm:
                maker.warm_up()
                scanner.warm_up()
            self._makers = config, maker, scanner
        return self._makers[1:]


@dataclass(frozen=True)
class OutputSize:
    """Images, camera and points at ``size`` (width, height), by the nearest pixel; ``None`` is the size of the grid."""

    size: tuple[int, int] | None = None

    def image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """``image`` (H, W) of labels or confidence."""
        if self._is(image.shape):
            return image
        rows, columns = self._pixels(image.shape)
        return image[rows[:, None], columns]

    def segmentation(self, segmentation: Segmentation) -> Segmentation:
        return Segmentation(self.image(segmentation.labels), self.image(segmentation.confidence))

    def intrinsics(self, frame: Frame) -> Intrinsics | None:
        """Those of the images; ``None`` where the frame's are not known."""
        camera = frame.intrinsics
        return camera if camera is None or self.size is None else camera.scaled(*self.size)

    def points(self, frame: Frame) -> npt.NDArray[np.float32] | None:
        """The point (h, w, 3) of each pixel, NaN where none was measured; ``None`` without depth or intrinsics."""
        if frame.depth is None or frame.intrinsics is None:
            return None
        return organised(frame.depth, frame.intrinsics, *self._pixels(frame.depth.shape))

    def _is(self, shape: tuple[int, ...]) -> bool:
        return self.size is None or self.size == shape[1::-1]

    def _pixels(self, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows and columns whose pixels hold the centres of the resized ones."""
        width, height = self.size or shape[1::-1]
        rows, columns = (
            (2 * np.arange(wanted) + 1) * there // (2 * wanted)
            for wanted, there in zip((height, width), shape, strict=True)
        )
        return rows, columns
