"""Completed depth marks obstacles and never frees: what a network guesses of pixels that measured nothing.

A guess marks where its confidence is at least ``completed_confidence`` and its pixel has a label, and only by what
stands above twice the error budget of its distance, or lies on the ground with a lethal label: a guess that is off by
5 % lifts a floor into the doubt between. Marks are a layer of their own over the map. They change no ground, no
log-odds and no age of evidence, so that every cell is what it is without them, or lethal. A mark goes ``decay_s`` after
the frame that made it, and as soon as another frame measures ground in its cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.forgetting import NEVER, Ages, FrameTimes
from gemini_ros.core.costmap.grid import LETHAL, Corner, CostmapConfig
from gemini_ros.core.costmap.meaning import GROUND, STANDING, MeaningTable
from gemini_ros.core.costmap.points import PointProjector, Surface, View, places
from gemini_ros.core.frames import UNLABELLED, Segmentation
from gemini_ros.core.rays import within_lens


@dataclass(frozen=True)
class CompletedDepth:
    """``depth`` float32 (H, W) in metres, NaN for no guess; ``confidence`` uint8 (H, W) = round(255 p)."""

    depth: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.uint8]


class CompletedReader:
    """Finds the cells that a frame's guesses mark. Keeps its grids: one thread at a time."""

    def __init__(self, table: MeaningTable, config: CostmapConfig) -> None:
        self._table = table
        self._least = least_confidence(config)
        self._projector = PointProjector(table, config)

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._projector.warm_up()

    def cells(
        self,
        completed: CompletedDepth,
        segmentation: Segmentation,
        measured: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows and columns (n,) in the window of ``view``, some of them outside it; ``measured`` is depth (H, W)."""
        counts = np.isnan(measured) & (completed.confidence >= self._least) & (segmentation.labels != UNLABELLED)
        guessed = np.where(counts, within_lens(view.intrinsics, completed.depth), np.float32(np.nan))
        levels = self._projector.project(segmentation, guessed, view, surface).levels
        lethal = np.zeros(levels.shape, bool)
        v, u = places(levels == GROUND)
        lethal[v, u] = self._projector.reader.ranks(segmentation, GROUND, v, u) == self._table.lethal
        v, u = places((levels == STANDING) | lethal)
        x, y, _ = view.points(v, u, guessed[v, u])
        # ``view`` counts cells from the ring around the window.
        return np.floor(y).astype(np.intp) - 1, np.floor(x).astype(np.intp) - 1


def least_confidence(config: CostmapConfig) -> int:
    """``completed_confidence`` in units of ``CompletedDepth.confidence``."""
    return int(np.ceil(255 * config.completed_confidence))


class CompletedMarks:
    """The marked cells of a window; none where ``completed_depth`` is off."""

    def __init__(self, config: CostmapConfig) -> None:
        cells = config.cells if config.completed_depth else 0
        self.marked_in = np.full((cells, cells), NEVER, np.int32)

    def mark(
        self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], of: Corner, corner: Corner, frame: int
    ) -> None:
        """Mark cells (n,) of the window at ``of`` in the window that lies at ``corner``."""
        rows, columns = rows + (of[1] - corner[1]), columns + (of[0] - corner[0])
        inside = (rows >= 0) & (columns >= 0) & (rows < len(self.marked_in)) & (columns < len(self.marked_in))
        self.marked_in[rows[inside], columns[inside]] = frame

    def refute(self, on_ground: npt.NDArray[np.bool_]) -> None:
        """Ground was measured there, bool (cells, cells)."""
        if self.marked_in.size:
            self.marked_in[on_ground] = NEVER

    def draw(self, data: npt.NDArray[np.int8], times: FrameTimes, now: Ages, for_s: float) -> None:
        """Marks into a map int8 (cells, cells): the only thing that they can do to it is make a cell lethal."""
        if self.marked_in.size:
            data[times.fresh(self.marked_in, now, for_s)] = LETHAL
