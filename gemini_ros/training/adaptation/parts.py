"""Which frames of a drive are learnt from, and which are kept aside to judge what came of it.

Neighbouring frames look the same, so that whole blocks of time are kept, and around each a part is neither learnt nor
kept. A robot that stands still, or comes back, sees the same at other times too: frames near the place of a kept one,
in its direction, are not learnt either.
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


@dataclass(frozen=True)
class Drive:
    """The frames of one bag in order: their stems, stamps (n,) in ns, and the robot's x, y, yaw (n, 3)."""

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
        if sum(len(np.unique(_blocks(drive, longer)[0])) - 1 for drive in drives) >= FEWEST + 2:
            period_s = longer
    learnt: list[str] = []
    kept: dict[str, int] = {}
    for drive in drives:
        numbers, away = _blocks(drive, period_s)
        chosen = numbers >= 0
        away &= ~_alike(drive.poses, drive.poses[chosen])
        first = max(kept.values(), default=-1) + 1
        of_kept = np.unique(numbers[chosen], return_inverse=True)[1] + first
        kept |= {drive.stems[int(i)]: int(k) for i, k in zip(np.flatnonzero(chosen), of_kept, strict=True)}
        learnt += [drive.stems[int(i)] for i in np.flatnonzero(away)]
    found = Parts(learnt, kept, sum(len(drive.stems) for drive in drives) - len(learnt) - len(kept))
    if found.blocks < FEWEST:
        raise ValueError(
            f"the drive is too short: {seconds:.0f} s give {found.blocks} blocks of {BLOCK_S:g} s to judge by, "
            f"expected {FEWEST}: drive for {FEWEST * PERIOD_S[0]:.0f} s or more, or give further bags"
        )
    if len(learnt) < LEAST_LEARNT:
        raise ValueError(
            f"{len(learnt)} frames are left to learn from, expected {LEAST_LEARNT}: the robot stood still, or the "
            "drive is too short"
        )
    return found


def _seconds(drive: Drive) -> float:
    return float(np.ptp(drive.stamps) / 1e9) if len(drive.stamps) else 0.0


def _blocks(drive: Drive, period_s: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The number of the kept block of each frame, -1 for none, and which are far enough from all; in the middle of each
    period lies one."""
    at_s = (drive.stamps - drive.stamps.min()) / 1e9
    number = (at_s // period_s).astype(np.int64)
    off_s = np.abs(at_s - (number + 0.5) * period_s)
    kept = off_s <= BLOCK_S / 2
    return np.where(kept, number, -1), off_s > BLOCK_S / 2 + MARGIN_S


def _alike(poses: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of ``poses`` are near the place and direction of one of ``others``."""
    found = np.zeros(len(poses), bool)
    for x, y, yaw in others:
        turned = np.abs((poses[:, 2] - yaw + np.pi) % (2 * np.pi) - np.pi)
        found |= (np.hypot(poses[:, 0] - x, poses[:, 1] - y) < NEAR_M) & (turned < np.radians(NEAR_DEG))
    return found
