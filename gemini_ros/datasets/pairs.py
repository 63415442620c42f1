"""Can image to image be learnt from a folder: depth without holes, or the same frames by day and in the dark?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.layout import Layout

_LEAST_KNOWN = 0.5
"""Share of a frame's pixels whose depth is known: below, the target has more holes than depth."""
_MOST_OTHER = 0.01
"""Share of the pixels whose labels may differ between two images of one scene."""


@dataclass(frozen=True)
class PairsCheck:
    """What was found, in ``found``, and a sentence for each frame that cannot be learnt from, in ``broken``."""

    found: tuple[str, ...]
    broken: tuple[str, ...]

    def lines(self) -> list[str]:
        """A report to read, the broken frames last."""
        return [*self.found, *(f"broken: {sentence}" for sentence in self.broken)]


def require_same_frames(bright: FolderFrames, dark: FolderFrames) -> None:
    """Raise ``ValueError`` where two folders have not the same frames."""
    stems = [[record["stem"] for record in frames.records] for frames in (bright, dark)]
    if stems[0] != stems[1]:
        raise ValueError(
            f"{dark.root}: frames other than those of {bright.root}, expected the same scenes in the dark: render both "
            "with one seed"
        )


def check_depth_target(root: Path, layout: Layout, split: str | None = None) -> PairsCheck:
    """Whether the depth of a folder has few holes: those that training cuts are to be filled, and the truth known."""
    frames = FolderFrames(root, layout, ("depth",), labels=False, split=split)
    shares = [float(np.isfinite(frames.images(i)["depth"]).mean()) for i in range(len(frames))]
    broken = [
        f"frame {record['stem']}: depth is known at {share:.0%} of the pixels, expected {_LEAST_KNOWN:.0%} at least: "
        "completed depth is learnt from depth without holes"
        for record, share in zip(frames.records, shares, strict=True)
        if share < _LEAST_KNOWN
    ]
    found = f"target depth: known at {np.mean(shares):.1%} of the pixels of {len(shares)} frames, in the worst at"
    return PairsCheck((f"{found} {min(shares):.1%}",), tuple(broken))


def check_dark_pairs(root: Path, dark: Path, layout: Layout, split: str | None = None) -> PairsCheck:
    """Whether ``dark`` shows the frames of ``root`` with less light. Raises ``ValueError`` for other frames."""
    both = [FolderFrames(folder, layout, ("rgb",), split=split) for folder in (root, dark)]
    require_same_frames(*both)
    means, broken = np.zeros((len(both[0]), 2)), []
    for i, record in enumerate(both[0].records):
        day, night = (frames.images(i) for frames in both)
        what = f"frame {record['stem']} of {dark}"
        means[i] = day["rgb"].mean(), night["rgb"].mean()
        if day["labels"].shape != night["labels"].shape:
            sizes = ["x".join(map(str, images["labels"].shape[::-1])) for images in (day, night)]
            broken.append(f"{what}: size {sizes[1]}, expected {sizes[0]} as by day")
        elif (other := float((day["labels"] != night["labels"]).mean())) > _MOST_OTHER:
            broken.append(f"{what}: {other:.0%} of the labels are others than by day: render both with one seed")
        elif means[i, 1] >= means[i, 0]:
            broken.append(f"{what}: mean {means[i, 1]:.0f}, expected less than {means[i, 0]:.0f} as by day")
    day, night = means.mean(0)
    found = f"target rgb: {len(means)} pairs, mean {day:.0f} by day and {night:.0f} in the dark"
    return PairsCheck((found,), tuple(broken))
