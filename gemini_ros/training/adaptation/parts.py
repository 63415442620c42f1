"""Which frames of a drive are learnt from, and which are kept aside to judge what came of it.

Neighbouring frames look the same, so that whole blocks of time are kept, and around each a part is neither learnt nor
kept. A robot that stands still, or comes back, sees the same at other times too: frames near the place of a kept one,
in its direction, are not learnt either. Both hold across all drives, as one round may lie in several bags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.intervals import FEWEST

BLOCK_S = 2.0
"""A kept block; the test takes these as independent."""
MARGIN_S = 2.0
"""Before and after a kept block nothing is learnt."""
PERIOD_S = (10.0, 20.0)
"""From one kept block to the next: as long as gives enough blocks."""
NEAR_M, NEAR_DEG = 0.5, 20.0
LEAST_LEARNT = 16
_LEAST_FILLED = 0.5  # of the frames that a kept block would hold at the rate of its drive


@dataclass(frozen=True)
class Drive:
    """The frames of one bag in order: their stems, stamps (n,) in ns, and the robot's x, y, yaw (n, 3).

    Drives are told apart by their place in a list, as bags of several robots may have one name.
    """

    bag: str
    stems: Sequence[str]
    stamps: npt.NDArray[np.int64]
    poses: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Stems to learn from, and those kept, each with the number of its block."""

    learnt: Sequence[str]
    kept: Mapping[str, int]
    left_out: int

    @property
    def blocks(self) -> int:
        """How many blocks are kept."""
        return len(set(self.kept.values()))

    def line(self) -> str:
        """What is said of them."""
        kept = f"{len(self.kept)} kept aside in {self.blocks} blocks of {BLOCK_S:g} s"
        return f"frames   {len(self.learnt)} to learn from, {kept}, {self.left_out} between or alike"


def part(drives: Sequence[Drive]) -> Parts:
    """Part the frames of all drives. Raises ``ValueError`` where too few blocks can be kept, or too few learnt from."""
    seconds, period_s = sum(_seconds(drive) for drive in drives), PERIOD_S[0]
    for longer in np.linspace(*PERIOD_S, 11).tolist():
        if sum(len(_blocks(drive, longer)[1]) for drive in drives) >= FEWEST + 2:
            period_s = longer
    found = [_blocks(drive, period_s) for drive in drives]
    middles = np.concatenate([middles for _, middles in found])
    places = np.concatenate([drive.poses[numbers >= 0] for drive, (numbers, _) in zip(drives, found, strict=True)])
    learnt: list[str] = []
    kept: dict[str, int] = {}
    first = 0
    for drive, (numbers, own) in zip(drives, found, strict=True):
        kept |= {drive.stems[int(i)]: int(numbers[i]) + first for i in np.flatnonzero(numbers >= 0)}
        first += len(own)
        away = _far(drive.stamps, middles) & ~_alike(drive.poses, places)
        learnt += [drive.stems[int(i)] for i in np.flatnonzero(away)]
    parts = Parts(learnt, kept, sum(len(drive.stems) for drive in drives) - len(learnt) - len(kept))
    if parts.blocks < FEWEST:
        raise ValueError(
            f"the drive is too short: {seconds:.0f} s give {parts.blocks} blocks of {BLOCK_S:g} s to judge by, "
            f"expected {FEWEST}: drive for {FEWEST * PERIOD_S[0]:.0f} s or more, or give further bags"
        )
    if len(learnt) < LEAST_LEARNT:
        raise ValueError(
            f"{len(learnt)} frames are left to learn from, expected {LEAST_LEARNT}: the robot stood still, or the "
            "drive is too short"
        )
    return parts


def _seconds(drive: Drive) -> float:
    return float(np.ptp(drive.stamps) / 1e9) if len(drive.stamps) else 0.0


def _blocks(drive: Drive, period_s: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The number of the kept block of each frame, -1 for none, and the middles of the blocks in ns.

    In the middle of each period lies one, if the drive covers it whole.
    """
    numbers = np.full(len(drive.stamps), -1, np.int64)
    if len(drive.stamps) < 2:
        return numbers, np.zeros(0, np.int64)
    start_ns, end_ns = int(drive.stamps.min()), int(drive.stamps.max())
    half_ns = round(BLOCK_S / 2 * 1e9)
    most = max(1.0, BLOCK_S * 1e9 / float(np.median(np.diff(drive.stamps))))
    middles = []
    for number in range(int((end_ns - start_ns) / 1e9 / period_s) + 1):
        middle_ns = start_ns + round((number + 0.5) * period_s * 1e9)
        inside = np.abs(drive.stamps - middle_ns) <= half_ns
        if end_ns >= middle_ns + half_ns and inside.sum() >= max(1.0, _LEAST_FILLED * most):
            numbers[inside] = len(middles)
            middles.append(middle_ns)
    return numbers, np.array(middles, np.int64)


def _far(stamps: npt.NDArray[np.int64], middles: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of ``stamps`` lie beyond the margins of all kept blocks, of whatever drive."""
    far = np.ones(len(stamps), bool)
    for middle_ns in middles:
        far &= np.abs(stamps - middle_ns) > round((BLOCK_S / 2 + MARGIN_S) * 1e9)
    return far


def _alike(poses: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of ``poses`` are near the place and direction of one of ``others``."""
    found = np.zeros(len(poses), bool)
    for x, y, yaw in others:
        turned = np.abs((poses[:, 2] - yaw + np.pi) % (2 * np.pi) - np.pi)
        found |= (np.hypot(poses[:, 0] - x, poses[:, 1] - y) < NEAR_M) & (turned < np.radians(NEAR_DEG))
    return found
