"""What a frame is: images of one instant on one pixel grid, and what a segmenter says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.instance_maps import INSTANCE_OUTPUTS, InstanceMaps
from gemini_ros.core.lens import Lens
from gemini_ros.core.phrase_maps import PHRASE_INPUTS, PHRASE_OUTPUTS, PhraseMaps

MODALITIES = ("rgb", "depth", "thermal")
UNLABELLED = 255
# What a model file calls its inputs and outputs beside the images, and what a frame calls its own.
RESERVED_NAMES = frozenset(
    {
        *("present", "labels", "confidence", "logits"),
        *(*PHRASE_INPUTS, *PHRASE_OUTPUTS, *INSTANCE_OUTPUTS),
        *("stamp_ns", "frame_id", "intrinsics", "others"),
    }
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class FrameError(ValueError):
    """An image that cannot be used; ``cause`` is the counter it is dropped under."""

    def __init__(self, message: str, cause: str = "invalid") -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Intrinsics:
    """Camera matrix in pixels of an image of ``width`` x ``height``, and the ``lens`` that a raw image is seen through.

    Without a lens it is a pinhole camera. Raises ``ValueError`` for a camera that cannot project: sizes, ``fx`` and
    ``fy`` must be positive and finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    lens: Lens | None = None

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"intrinsics: size {self.width}x{self.height}, expected positive")
        if not (0 < self.fx < np.inf and 0 < self.fy < np.inf and np.isfinite([self.cx, self.cy]).all()):
            raise ValueError(
                f"intrinsics: fx {self.fx}, fy {self.fy}, cx {self.cx}, cy {self.cy}; expected positive, finite focal "
                "lengths: publish a calibrated camera_info"
            )

    def require_plausible(self) -> Intrinsics:
        """Itself, if a camera can be like this: angles of view of 0.6 to 168 degrees, the axis near the image.

        Raises ``ValueError`` with what else the numbers may be.
        """
        for focal, center, size, axis in (
            (self.fx, self.cx, self.width, "x"),
            (self.fy, self.cy, self.height, "y"),
        ):
            if not (0.05 * size <= focal <= 100 * size and abs(center - size / 2) <= 10 * size):
                raise ValueError(
                    f"f{axis} {focal:g}, c{axis} {center:g} for {self.width}x{self.height} pixels are no camera's: "
                    "publish the camera matrix K in pixels, not in millimetres or shares of the image"
                )
        return self

    def scaled(self, width: int, height: int) -> Intrinsics:
        """The same camera seen through an image resized to ``width`` x ``height`` (pixel centres at half integers)."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width, height, self.fx * sx, self.fy * sy, (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5, self.lens
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, without the lens of a pinhole camera."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def through(self, lens: Lens) -> Intrinsics:
        """The same camera with a lens before it."""
        return replace(self, lens=lens)


def require_modality_name(name: object) -> str:
    """``name`` if a modality may have it: an identifier of ASCII, at most 64 characters, that means nothing else.

    Raises ``FrameError``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FrameError(f"modality {name!r:.80}: expected an identifier of at most 64 letters, digits and underscores")
    if name in RESERVED_NAMES:
        raise FrameError(f"modality {name}: this name is taken, expected none of {', '.join(sorted(RESERVED_NAMES))}")
    return name


@dataclass(frozen=True)
class Frame:
    """Images of one instant on one pixel grid; at least one is there.

    ``rgb`` uint8 (H, W, 3) in RGB order; ``depth`` float32 (H, W), metres along the optical axis; ``thermal`` float32
    (H, W), degrees Celsius; ``others`` float32 (H, W) each, further modalities under their own names in the unit that
    the model's metadata states. NaN = no measurement. ``stamp_ns`` and ``frame_id`` are those every output carries.

    Raises ``FrameError`` for a wrong name, type or size.
    """

    stamp_ns: int
    frame_id: str
    rgb: npt.NDArray[np.uint8] | None = None
    depth: npt.NDArray[np.float32] | None = None
    thermal: npt.NDArray[np.float32] | None = None
    intrinsics: Intrinsics | None = None
    others: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        object.__setattr__(self, "others", MappingProxyType(dict(self.others)))
        for name in self.others:
            if require_modality_name(name) in MODALITIES:
                raise FrameError(f"others: {name}, expected none of {', '.join(MODALITIES)}: give it by its own field")
        sizes = {}
        for name, image in self.images().items():
            expected = (np.uint8, 3) if name == "rgb" else (np.float32, 2)
            if image.dtype != expected[0] or image.ndim != expected[1] or (name == "rgb" and image.shape[2] != 3):
                raise FrameError(
                    f"{name}: {image.dtype} {image.shape}, expected "
                    + ("uint8 (H, W, 3)" if name == "rgb" else "float32 (H, W)")
                )
            sizes[name] = image.shape[1::-1]
        if not sizes:
            raise FrameError("frame without any image: at least one of rgb, depth, thermal, others is needed")
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{name} {w}x{h}" for name, (w, h) in sizes.items())
            raise FrameError(f"{found}: enable align_depth, or register the images to one grid", "wrong_size")

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view of a mapping cannot be pickled, and frames go from process to process.
        values = (self.stamp_ns, self.frame_id, self.rgb, self.depth, self.thermal, self.intrinsics)
        return Frame, (*values, dict(self.others))

    @classmethod
    def from_images(
        cls,
        stamp_ns: int,
        frame_id: str,
        images: Mapping[str, np.ndarray],
        intrinsics: Intrinsics | None = None,
    ) -> Frame:
        """The frame of images by modality."""
        known: dict[str, Any] = {name: images[name] for name in MODALITIES if name in images}
        others = {name: image for name, image in images.items() if name not in MODALITIES}
        return cls(stamp_ns, frame_id, **known, intrinsics=intrinsics, others=others)

    def image(self, name: str) -> np.ndarray | None:
        """The image of a modality, ``None`` where the frame has none."""
        return getattr(self, name) if name in MODALITIES else self.others.get(name)

    def images(self) -> dict[str, np.ndarray]:
        """The images that are there, by modality."""
        known = {name: image for name in MODALITIES if (image := getattr(self, name)) is not None}
        return known | dict(self.others)

    def without(self, *names: str) -> Frame:
        """The same frame less these modalities; at least one image has to be left."""
        left = {name: image for name, image in self.images().items() if name not in names}
        return Frame.from_images(self.stamp_ns, self.frame_id, left, self.intrinsics)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = next(iter(self.images().values())).shape[:2]
        return width, height


@dataclass(frozen=True)
class Segmentation:
    """Per-pixel answer: ``labels`` uint8 (H, W), 255 = unlabelled; ``confidence`` uint8 (H, W) = round(255 p).

    ``timings_ns`` holds the stages the segmenter measured: ``network`` and ``postprocess``. ``phrases``: what the model
    says of phrases, ``None`` where it takes none or none were asked for. ``instances``: what it says of single things,
    ``None`` where it tells none apart.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    timings_ns: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    phrases: PhraseMaps | None = None
    instances: InstanceMaps | None = None
