"""The clock offset and the shift in pixels between two image streams of a moving camera, without a target.

The edges of one stream, moved along its optical flow, give its view of any instant between its images. The offset and
the shift are those at which edges of the other stream lie on them best, over many images together. Both are sought at
once: where the whole image moves evenly, one looks like the other, and neither can be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.edge_fields import (
    Field,
    Plane,
    agreement,
    detailed,
    edge_field,
    faded,
    flat,
    halved,
    moved,
    optical_flow,
    plane,
    reduced,
    reduction,
    spectrum,
    whitened,
)
from gemini_ros.core.frames import Intrinsics

Floats = npt.NDArray[np.floating]

MAX_IMAGES = 600
"""More images of a stream tell nothing that these do not, and take memory."""
MIN_IMAGES = 20
"""For a clock offset."""
MIN_VIEWS = 5
"""For a shift, which needs no motion."""
MAX_OFFSET_S = 1.0
"""Of the clocks, from the offset that is set already."""
MAX_OFFSET_WIDTH_S = 0.015
"""An offset is not told whose 95 % interval is wider to either side: the default ``sync.slop_s`` is 20 ms."""
MAX_SHIFT_WIDTH_PX = 2.0
MAX_SHIFT = 0.125
"""Of the width of the image."""
_COMPARED = 100  # images of the other stream, spread over its time
_SEARCHED = 60  # of these, where the whole range of offsets is tried
_STEPS = 17
_NEAR_PX = 3
_AROUND_PX = 15
_COHERENT = 0.3  # agreement of an image with the one before, moved
_STILL_PX = 0.15
_SIGNIFICANT = 12.0  # recorded pairs have 30 to 80, those of different scenes 7 at most
_SIGNIFICANT_PART = 8.0  # where it is known that the whole images agree
_ROUNDS = 4
_SAMPLES = 200
_BLOCK_S = 0.5
_EDGE = 0.5
_NOISE = 0.25  # median size of an edge field: 0.41 of white noise, less where some edges are stronger than others
_EXACT_S = 2e-4
_COMMON_S = 0.002  # error that all images share and no sample shows, as simulated sequences have it


class CannotTellError(ValueError):
    """What the images lack for an answer, in one sentence."""


@dataclass(frozen=True)
class ClockOffset:
    """``offset_s``, with its 95 % interval, is to be added to the stamps of the other stream (``sync.offset_s``).

    ``images``: how many of the other stream were compared.
    """

    offset_s: float
    low_s: float
    high_s: float
    images: int


@dataclass(frozen=True)
class PixelShift:
    """What has to be added to the pixel coordinates of the other stream, in pixels of the grid.

    ``width_x`` and ``width_y``: half of the 95 % interval. ``near`` and ``far``: (x, y) of the nearer and the farther
    half of each image alone, where there is depth and they have edges enough.
    """

    x: float
    y: float
    width_x: float
    width_y: float
    images: int
    near: tuple[float, float] | None = None
    far: tuple[float, float] | None = None

    def scaled(self, x: float, y: float) -> PixelShift:
        """The same on a grid that has ``x`` times the columns and ``y`` times the rows."""
        near, far = (part and (part[0] * x, part[1] * y) for part in (self.near, self.far))
        return PixelShift(self.x * x, self.y * y, self.width_x * x, self.width_y * y, self.images, near, far)


class ImageTrack:
    """The images of one stream, reduced, in the order of their stamps.

    ``grid`` is the size (width, height) of the reference's images. ``onto_grid`` (2, 3) maps pixels of images of
    another size to it; what is not seen is unknown.
    """

    def __init__(self, modality: str, grid: tuple[int, int], onto_grid: Floats | None = None) -> None:
        self.modality, self.factor = modality, reduction(grid[0])
        self._grid, self._onto_grid = grid, onto_grid
        self._images: dict[int, npt.NDArray[np.float16]] = {}

    def __len__(self) -> int:
        return len(self._images)

    def add(self, image: np.ndarray, stamp_ns: int) -> None:
        """An image as a ``Frame`` holds it; of several under one stamp the first counts."""
        if stamp_ns in self._images:
            return
        values = plane(image, self.modality)
        if self._onto_grid is not None:
            values = cv2.warpAffine(
                values, self._onto_grid, self._grid, flags=cv2.INTER_LINEAR, borderValue=float("nan")
            )
        values = reduced(values, self.factor)
        known = values[np.isfinite(values)]
        # Around 0 the numbers of 16 bits are fine enough for a scene of little contrast.
        self._images[stamp_ns] = (values - (np.median(known) if known.size else 0)).astype(np.float16)

    @cached_property
    def stamps_ns(self) -> npt.NDArray[np.int64]:
        return np.array(sorted(self._images), np.int64)

    @cached_property
    def small_by(self) -> int:
        """By what the fields that time is told from are smaller than those that the shift is told from."""
        return 2 if self._grid[0] // self.factor > 200 else 1

    @property
    def period_s(self) -> float:
        """Median distance of the stamps."""
        return float(np.median(np.diff(self.stamps_ns))) / 1e9 if len(self) > 1 else 0.0

    def image(self, number: int) -> Plane:
        return self._images[int(self.stamps_ns[number])].astype(np.float32)

    def field(self, number: int) -> Field:
        return detailed(edge_field(self.image(number)))

    @cached_property
    def small_fields(self) -> list[Field]:
        fields = (self.field(number) for number in range(len(self)))
        return [halved(field) if self.small_by == 2 else field for field in fields]

    @cached_property
    def flows(self) -> list[npt.NDArray[np.float32] | None]:
        """From each image to the next, in pixels of the small fields; ``None`` where it does not lead there."""
        found: list[npt.NDArray[np.float32] | None] = []
        for number in range(len(self) - 1):
            flow = optical_flow(self.image(number), self.image(number + 1))
            before, after = self.small_fields[number : number + 2]
            flow = cv2.resize(flow, after.shape[::-1], interpolation=cv2.INTER_AREA) / np.float32(self.small_by)
            found.append(flow if _likeness(moved(before, flow, 1.0), after) > _COHERENT else None)
        return found

    @cached_property
    def velocities(self) -> Floats:
        """(N, 2): mean motion in pixels of the grid per second, where an image leads to the next."""
        steps_s = np.diff(self.stamps_ns) / 1e9
        scale = self.factor * self.small_by
        means = [f.mean(axis=(0, 1)) * scale / s for f, s in zip(self.flows, steps_s, strict=True) if f is not None]
        return np.array(means).reshape(-1, 2)

    def nearer(self, number: int) -> npt.NDArray[np.bool_]:
        """(H, W) of depth: the nearer half of the image, with the edges towards what lies behind."""
        values = np.nan_to_num(self.image(number), nan=np.inf)
        return cv2.erode(values, np.ones((7, 7), np.uint8)) < 0

    def require_motion(self) -> None:
        """Raise ``CannotTellError`` where nothing moves, or images do not follow each other."""
        if 2 * sum(flow is not None for flow in self.flows) < len(self.flows):
            _require_edges(self)
            raise CannotTellError(f"the {self.modality} images do not follow each other")
        # On edges alone: in between, noise looks like motion.
        lengths = [
            np.median(np.linalg.norm(flow, axis=2)[np.abs(field) > _EDGE * np.abs(field).max()])
            for flow, field in zip(self.flows, self.small_fields, strict=False)
            if flow is not None
        ]
        if np.percentile(lengths, 75) * self.small_by < _STILL_PX:
            raise CannotTellError("nothing moves")

    @cached_property
    def bare(self) -> bool:
        """Whether most images have no edges but those of noise, which are as strong as the others everywhere."""
        numbers = range(0, len(self), max(1, len(self) // 10))
        return (
            bool(numbers) and float(np.median([np.median(np.abs(edge_field(self.image(n)))) for n in numbers])) > _NOISE
        )

    def nearest(self, stamps_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """The number of the image nearest to each instant."""
        right = np.clip(np.searchsorted(self.stamps_ns, stamps_ns), 0, len(self) - 1)
        left = np.maximum(right - 1, 0)
        nearer = stamps_ns - self.stamps_ns[left] <= self.stamps_ns[right] - stamps_ns
        return np.where(nearer, left, right)

    def small_field_at(self, stamp_ns: int, number: int) -> Field | None:
        """The field at an instant near image ``number``, moved there along the flow; ``None`` where it cannot be."""
        return self._at(self.small_fields[number], stamp_ns, number, 1)

    def field_at(self, stamp_ns: int, number: int) -> Field | None:
        """The same in full size."""
        return self._at(self.field(number), stamp_ns, number, self.small_by)

    def _at(self, field: Field, stamp_ns: int, number: int, enlarged: int) -> Field | None:
        away_s = (stamp_ns - int(self.stamps_ns[number])) / 1e9
        if abs(away_s) <= _EXACT_S:
            return field
        first = number if away_s > 0 else number - 1
        flow = self.flows[first] if 0 <= first < len(self.flows) else None
        if flow is None:
            return None
        share = away_s / ((self.stamps_ns[first + 1] - self.stamps_ns[first]) / 1e9)
        if abs(share) > 1:
            return None
        if enlarged > 1:
            flow = cv2.resize(flow, field.shape[::-1], interpolation=cv2.INTER_LINEAR) * np.float32(enlarged)
        return moved(field, flow, share)


def onto_grid(
    size: tuple[int, int], camera: Intrinsics | None, grid: tuple[int, int], grid_camera: Intrinsics | None
) -> Floats:
    """(2, 3): pixels of one camera to those of another that looks the same way, near enough to compare their motion.

    By the focal lengths of both, else as if both saw the same width. Sizes are (width, height).
    """
    if camera and grid_camera:
        x, y = grid_camera.fx / camera.fx, grid_camera.fy / camera.fy
        return np.array([[x, 0, grid_camera.cx - x * camera.cx], [0, y, grid_camera.cy - y * camera.cy]])
    scale = grid[0] / size[0]
    right, down = ((n - scale * own + scale - 1) / 2 for n, own in zip(grid, size, strict=True))
    return np.array([[scale, 0, right], [0, scale, down]])


@dataclass(frozen=True)
class Coarse:
    """The best whole-image agreement: offset, and shift (y, x) in pixels of the small fields."""

    offset_s: float
    shift: tuple[int, int]


def clock_offset(reference: ImageTrack, other: ImageTrack, around_s: float = 0.0) -> ClockOffset:
    """The offset of the clocks near ``around_s``. Raises ``CannotTellError``."""
    if min(len(reference), len(other)) < MIN_IMAGES:
        raise CannotTellError(_counts(reference, other, MIN_IMAGES))
    reference.require_motion()
    coarse = _search(reference, other, around_s)
    step_s = max(reference.period_s, other.period_s) / 6
    center_s, scores = coarse.offset_s, None
    for _ in range(_ROUNDS):
        offsets_s = center_s + step_s * (np.arange(_STEPS) - _STEPS // 2)
        numbers, scores = _agreements(reference, other, offsets_s, coarse.shift)
        best_s = _best_offset(offsets_s, scores.mean(axis=0))
        if abs(best_s - center_s) < step_s * _STEPS / 4:
            break
        center_s = float(np.clip(best_s, around_s - MAX_OFFSET_S, around_s + MAX_OFFSET_S))
    else:
        raise CannotTellError("no offset of the clocks fits better than those beside it")
    samples = [
        _best_offset(offsets_s, weights @ scores.reshape(len(scores), -1), scores.shape[1:])
        for weights in _resampled(other, numbers)
    ]
    low_s, high_s = np.percentile(samples, (2.5, 97.5))
    below_s, above_s = (float(np.hypot(max(away_s, 0.0), _COMMON_S)) for away_s in (best_s - low_s, high_s - best_s))
    if (width_s := max(below_s, above_s)) > MAX_OFFSET_WIDTH_S:
        best = f"{1e3 * best_s:+.0f} ms would be known to {1e3 * width_s:.0f} ms at best"
        raise CannotTellError(f"the motion is too slow or too even: {best}")
    return ClockOffset(best_s, best_s - below_s, best_s + above_s, len(scores))


def pixel_shift(
    reference: ImageTrack,
    other: ImageTrack,
    offset_s: float,
    offset_width_s: float = 0.0,
    depth: ImageTrack | None = None,
) -> PixelShift:
    """The shift where the clock offset is known to ``offset_width_s``. Raises ``CannotTellError``.

    ``depth``: the depth of the grid, which tells near from far; the other stream may be it.
    """
    if min(len(reference), len(other)) < MIN_VIEWS:
        raise CannotTellError(_counts(reference, other, MIN_VIEWS))
    pairs = list(_pairs(reference, other, offset_s))
    if len(pairs) < MIN_VIEWS:
        _require_edges(reference, other)
        raise CannotTellError(f"{len(pairs)} images of both at one instant, expected {MIN_VIEWS} or more")
    crosses = [_cross(ours, theirs) for _, ours, theirs in pairs]
    reach = round(MAX_SHIFT * crosses[0].shape[1])
    _require_significant(np.mean(crosses, axis=0), reach, reference, other)
    around = np.arange(-reach, reach + 1)
    surfaces = np.array([agreement(cross, around, around) for cross in crosses])
    (y, x), (width_y, width_x) = _shift_with_width(
        surfaces, _resampled(other, [number for number, *_ in pairs]), reference.factor
    )
    if len(reference) >= MIN_IMAGES and len(reference.velocities):
        drift = np.abs(reference.velocities.mean(axis=0)) * offset_width_s
        width_x, width_y = float(np.hypot(width_x, drift[0])), float(np.hypot(width_y, drift[1]))
    if max(width_x, width_y) > MAX_SHIFT_WIDTH_PX:
        raise CannotTellError(
            f"the edges of {other.modality} and {reference.modality} agree at no one shift: it would be known to "
            f"{max(width_x, width_y):.1f} pixels at best"
        )
    near, far = (None, None) if depth is None else _near_and_far(pairs, other, depth, offset_s, reach)
    return PixelShift(x, y, width_x, width_y, len(pairs), near, far)


def _pairs(reference: ImageTrack, other: ImageTrack, offset_s: float) -> Iterator[tuple[int, Field, Field]]:
    """The number of an image of the other stream, the field of the reference at its instant, and its own."""
    at_ns = other.stamps_ns + round(offset_s * 1e9)
    nearest = reference.nearest(at_ns)
    near_ns = 0.6e9 * max(reference.period_s, 1e-3)
    for number in _chosen(len(other), _SEARCHED):
        if abs(int(at_ns[number]) - int(reference.stamps_ns[nearest[number]])) > near_ns:
            continue
        ours = reference.field_at(int(at_ns[number]), int(nearest[number]))
        if ours is not None:
            yield number, ours, other.field(number)


def _cross(ours: Field, theirs: Field) -> Field:
    return np.conj(spectrum(theirs)) * spectrum(ours)


def _near_and_far(
    pairs: Sequence[tuple[int, Field, Field]], other: ImageTrack, depth: ImageTrack, offset_s: float, reach: int
) -> list[tuple[float, float] | None]:
    """(x, y) of the nearer and of the farther half of the images; ``None`` where no shift stands out."""
    near, far = [], []
    at_ns = other.stamps_ns + round(offset_s * 1e9)
    for number, ours, theirs in pairs:
        if depth is other:
            nearer = depth.nearer(number)
            near.append(_cross(ours, theirs * nearer))
            far.append(_cross(ours, theirs * ~nearer))
        elif len(depth):
            nearer = depth.nearer(int(depth.nearest(at_ns[[number]])[0]))
            near.append(_cross(ours * nearer, theirs))
            far.append(_cross(ours * ~nearer, theirs))
    return [_shift_of(crosses, reach, depth.factor) if crosses else None for crosses in (near, far)]


def _shift_with_width(
    surfaces: npt.NDArray[np.float32], samples: Sequence[Floats], factor: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(y, x) of the best shift by all images, and half of its 95 % interval."""
    reach = surfaces.shape[1] // 2
    _, row, column = _peak(surfaces.mean(axis=0))
    top, left = (max(0, round(place) - _AROUND_PX) for place in (row, column))
    part = surfaces[:, top : top + 2 * _AROUND_PX, left : left + 2 * _AROUND_PX]
    places = np.array([_peak(np.tensordot(weights, part, axes=1))[1:] for weights in samples]) + (top, left)
    width = np.percentile(np.abs(places - (row, column)), 95, axis=0) * factor
    return ((row - reach) * factor, (column - reach) * factor), (float(width[0]), float(width[1]))


def _shift_of(crosses: Sequence[np.ndarray], reach: int, factor: int) -> tuple[float, float] | None:
    """(x, y) of the best shift, if one stands out."""
    cross = np.mean(crosses, axis=0)
    if significance(cross, reach) < _SIGNIFICANT_PART:
        return None
    around = np.arange(-reach, reach + 1)
    _, row, column = _peak(agreement(cross, around, around))
    return (column - reach) * factor, (row - reach) * factor


def _search(reference: ImageTrack, other: ImageTrack, around_s: float) -> Coarse:
    """By whole images: which offset, at whichever shift, fits best."""
    chosen = _chosen(len(other), _SEARCHED)
    ours = np.array([spectrum(halved(field)) for field in reference.small_fields])
    theirs = np.conj([spectrum(halved(other.small_fields[number])) for number in chosen])
    most = round(MAX_SHIFT * ours.shape[2])
    reach = np.arange(-most, most + 1)
    step_s = min(reference.period_s, other.period_s) / 2
    count = int(MAX_OFFSET_S / step_s)
    least = max(MIN_IMAGES // 2, len(chosen) // 3)
    found: list[tuple[float, float, np.ndarray]] = []
    for offset_s in around_s + step_s * np.arange(-count, count + 1):
        at_ns = other.stamps_ns[chosen] + round(offset_s * 1e9)
        nearest = reference.nearest(at_ns)
        there = np.abs(at_ns - reference.stamps_ns[nearest]) <= 0.6e9 * reference.period_s
        if np.count_nonzero(there) < least:
            continue
        cross = np.einsum("nyx,nyx->yx", theirs[there], ours[nearest[there]]) / np.count_nonzero(there)
        found.append((float(agreement(whitened(cross), reach, reach).max()), float(offset_s), cross))
    if not found:
        raise CannotTellError("the stamps of the two streams are never near each other")
    _, offset_s, cross = max(found, key=lambda one: one[0])
    _require_significant(cross, most, reference, other)
    surface = agreement(whitened(cross), reach, reach)
    row, column = np.unravel_index(np.argmax(surface), surface.shape)
    return Coarse(offset_s, (2 * (int(row) - most), 2 * (int(column) - most)))


def _agreements(
    reference: ImageTrack, other: ImageTrack, offsets_s: Floats, shift: tuple[int, int]
) -> tuple[list[int], npt.NDArray[np.float32]]:
    """(N, offsets, shifts, shifts): agreement of each image of the other stream at each offset, near ``shift``."""
    rows, columns = (center + np.arange(-_NEAR_PX, _NEAR_PX + 1) for center in shift)
    numbers, found = [], []
    offsets_ns = np.round(offsets_s * 1e9).astype(np.int64)
    for number in _chosen(len(other), _COMPARED):
        at_ns = other.stamps_ns[number] + offsets_ns
        nearest = reference.nearest(at_ns)
        ours = [reference.small_field_at(int(at), int(n)) for at, n in zip(at_ns, nearest, strict=True)]
        if any(field is None for field in ours):
            continue
        fields = np.array([flat(field) for field in ours if field is not None])
        theirs = faded(other.small_fields[number])
        shifted = np.array([flat(np.roll(theirs, (y, x), (0, 1)), fade=False) for y in rows for x in columns])
        found.append((fields @ shifted.T).reshape(len(fields), len(rows), len(columns)))
        numbers.append(number)
    if len(found) < MIN_IMAGES // 2:
        raise CannotTellError("too few images of the two streams are near each other in time")
    return numbers, np.array(found)


def _best_offset(offsets_s: Floats, scores: Floats, shape: tuple[int, ...] | None = None) -> float:
    """Of scores (offsets, shifts, shifts), the offset with the highest agreement at the best shift of each."""
    profile = np.array([_peak(surface)[0] for surface in (scores if shape is None else scores.reshape(shape))])
    top = int(np.argmax(profile))
    level = profile.max() - 0.5 * (profile.max() - profile.min())
    first, last = top, top
    while first > 0 and profile[first - 1] >= level:
        first -= 1
    while last < len(profile) - 1 and profile[last + 1] >= level:
        last += 1
    reach = max(2, min(top - first, last - top))
    part = slice(max(0, top - reach), top + reach + 1)
    if len(profile[part]) < 4:
        return float(offsets_s[top])
    x = offsets_s[part] - offsets_s[top]
    a, b, _ = np.polyfit(x, profile[part], 2)
    if a >= 0:
        return float(offsets_s[top])
    return float(offsets_s[top] + np.clip(-b / (2 * a), x[0], x[-1]))


def _peak(surface: Floats) -> tuple[float, float, float]:
    """Value, row and column of the highest point, by a parabola each way."""
    row, column = np.unravel_index(np.argmax(surface), surface.shape)
    value = float(surface[row, column])
    gain, place = 0.0, []
    for line, at in ((surface[:, column], int(row)), (surface[row], int(column))):
        if not 0 < at < len(line) - 1:
            place.append(float(at))
            continue
        before, here, after = (float(v) for v in line[at - 1 : at + 2])
        bend = before - 2 * here + after
        step = 0.5 * (before - after) / bend if bend < 0 else 0.0
        gain += -0.25 * (before - after) * step
        place.append(at + step)
    return value + gain, place[0], place[1]


def _require_significant(cross: np.ndarray, reach: int, reference: ImageTrack, other: ImageTrack) -> None:
    """Raise ``CannotTellError`` where no shift within ``reach`` stands out from all others."""
    if significance(cross, reach) < _SIGNIFICANT:
        _require_edges(reference, other)
        raise CannotTellError(f"the edges of {other.modality} and {reference.modality} have nothing in common")


def _require_edges(*tracks: ImageTrack) -> None:
    for track in tracks:
        if track.bare:
            raise CannotTellError(f"the {track.modality} images have next to no edges")


def significance(cross: np.ndarray, reach: int) -> float:
    """How many standard deviations the best shift within ``reach`` lies above the mean of all that are not near it."""
    height, width = cross.shape
    surface = agreement(whitened(cross), np.arange(height) - height // 2, np.arange(width) - width // 2)
    inner = surface[height // 2 - reach : height // 2 + reach + 1, width // 2 - reach : width // 2 + reach + 1]
    row, column = np.unravel_index(np.argmax(inner), inner.shape)
    rows, columns = np.indices(surface.shape)
    rows, columns = rows - (row + height // 2 - reach), columns - (column + width // 2 - reach)
    rest = surface[np.maximum(np.abs(rows), np.abs(columns)) > max(3, width // 40)]
    return float((inner[row, column] - rest.mean()) / max(float(rest.std()), 1e-9))


def _counts(reference: ImageTrack, other: ImageTrack, least: int) -> str:
    counts = f"{len(reference)} {reference.modality} and {len(other)} {other.modality} images"
    return f"{counts}, expected {least} of each"


def _chosen(count: int, most: int) -> list[int]:
    """At most ``most`` numbers below ``count``, spread evenly."""
    return sorted({round(n) for n in np.linspace(0, count - 1, min(count, most))})


def _resampled(track: ImageTrack, numbers: Sequence[int]) -> list[Floats]:
    """Weights of the images for each sample of a bootstrap by blocks of time, as neighbours err alike."""
    times_s = (track.stamps_ns[list(numbers)] - track.stamps_ns[numbers[0]]) / 1e9
    blocks = np.minimum((times_s / _BLOCK_S).astype(int), len(numbers))
    if len(set(blocks)) < 8:
        blocks = np.arange(len(numbers)) * min(8, len(numbers)) // len(numbers)
    _, block = np.unique(blocks, return_inverse=True)
    random = np.random.default_rng(0)
    count = int(block.max()) + 1
    weights = (random.multinomial(count, np.full(count, 1 / count)).astype(np.float32)[block] for _ in range(_SAMPLES))
    return [w / w.sum() for w in weights if w.sum() > 0]


def _likeness(a: Field, b: Field) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b).real) / norms if norms > 0 else 0.0
