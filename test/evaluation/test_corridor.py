"""The robot's way against the true map: which cells it has, what is false there, and what counts as an event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import OCCUPANCY_TOPIC
from gemini_ros.bags.true_maps import DROP, FREE, LOW, OCCUPIED, UNKNOWN, TrueMaps
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.costmap import Occupancy
from gemini_ros.evaluation.corridor import Corridor, CorridorRow, corridor_cells
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.evaluation.scores import ScoreReader, Selection
from gemini_ros.evaluation.store import STORE, Store
from test.evaluation.drive import START_NS, write_drive

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
TENTH = 100_000_000
CELL = 0.05


def grid(value: int, columns: int = 100, rows: int = 40, stamp: int = 0) -> Occupancy:
    return Occupancy(np.full((rows, columns), value, np.int8), CELL, (-0.5, -1.0), stamp)


def true_maps(tmp_path: Path, *maps: Occupancy, frame: str = "odom") -> TrueMaps:
    with BagWriter(tmp_path / "truth.mcap") as bag:
        for each in maps:
            bag.write(OCCUPANCY_TOPIC, messages.occupancy_grid(each, frame), each.stamp_ns + 1)
    with BagReader(tmp_path / "truth.mcap") as reader:
        return TrueMaps(reader)


def at(x: float, y: float) -> tuple[int, int]:
    return round((y + 1.0) / CELL - 0.5), round((x + 0.5) / CELL - 0.5)


def rows_of(truth: Occupancy | list[Occupancy], *maps: Occupancy) -> list[CorridorRow]:
    """A robot drives along x at 0.5 m/s, 10 Hz."""
    corridor, truths = Corridor(), truth if isinstance(truth, list) else [truth] * len(maps)
    return [
        corridor.add(i * TENTH, said, true, (0.05 * i, 0.0, 0.0))
        for i, (said, true) in enumerate(zip(maps, truths, strict=True))
    ]


def test_the_corridor_is_as_wide_as_the_robot_and_as_long_as_it_takes_to_stop():
    x, y, cells = corridor_cells((0.5, 0.0, 0.0), grid(FREE))
    rows, columns = np.nonzero(cells)
    assert (x[columns].min(), x[columns].max()) == pytest.approx((0.825, 3.475))
    assert (y[rows].min(), y[rows].max()) == pytest.approx((-0.275, 0.275))
    assert cells.sum() == 54 * 12
    x, y, cells = corridor_cells((0.5, 0.0, np.pi / 2), grid(FREE))
    rows, columns = np.nonzero(cells)
    assert (y[rows].min(), y[rows].max()) == pytest.approx((0.325, 2.975))
    assert (x[columns].min(), x[columns].max()) == pytest.approx((0.225, 0.775))


@pytest.mark.parametrize(("value", "counts"), [(OCCUPIED, True), (DROP, True), (LOW, False), (UNKNOWN, False)])
def test_what_blocks_and_is_called_free_for_long_enough_is_one_event(value: int, counts: bool):
    truth = grid(FREE)
    truth.data[at(0.825, 0.025)] = truth.data[at(0.875, 0.025)] = value
    truth.data[at(0.825, 0.525)] = truth.data[at(0.875, 0.525)] = OCCUPIED  # beside the way
    said = [grid(0), grid(50), grid(98), grid(0), grid(-1), grid(0)]
    found = rows_of(truth, *said)
    assert [row.false_free_events for row in found] == [0, 0, int(counts), 0, 0, 0]
    assert [row.missed for row in found] == [2 * counts] * 4 + [0] + [2 * counts]
    assert all(row.blocked == 2 * counts and row.false_lethal_events == 0 for row in found)


def test_single_cells_and_short_ones_are_no_events_and_a_blob_that_moves_is_one():
    truth = grid(FREE)
    truth.data[at(0.825, 0.025)] = OCCUPIED
    found = rows_of(truth, *[grid(0)] * 5)
    assert [(row.missed, row.false_free_events) for row in found] == [(1, 0)] * 5
    walks = []
    for i in range(6):
        walks.append(grid(FREE, stamp=i * TENTH))
        for x in (1.225, 1.275):
            walks[-1].data[at(x - 0.05 * i, 0.025)] = OCCUPIED
    found = rows_of(walks, *[grid(0)] * 6)
    assert sum(row.false_free_events for row in found) == 1
    flickers = rows_of(walks, *[grid(0), grid(0), grid(100)] * 2)
    assert sum(row.false_free_events for row in flickers) == 0


def test_an_edge_may_lie_a_cell_beside_itself():
    truth, said = grid(FREE), grid(0)
    truth.data[at(0.825, 0.025)] = truth.data[at(0.875, 0.025)] = truth.data[at(0.925, 0.025)] = OCCUPIED
    said.data[at(0.775, 0.075)] = 100  # beside the first alone
    (row,) = rows_of(truth, said)
    assert (row.blocked, row.missed, row.false_lethal) == (3, 2, 0)


def test_lethal_on_floor_with_nothing_around_is_false():
    truth, said = grid(FREE), grid(0)
    truth.data[at(0.925, 0.025)] = OCCUPIED
    said.data[at(0.825, 0.025)] = said.data[at(0.875, 0.025)] = said.data[at(0.925, 0.025)] = 100
    (row, *_) = rows_of(truth, *[said] * 3)
    assert (row.false_lethal, row.missed) == (1, 0)  # the one beside the obstacle is its edge
    said.data[at(0.775, 0.025)] = 100
    found = rows_of(truth, *[said] * 3)
    assert [row.false_lethal_events for row in found] == [0, 0, 1]
    assert [row.metres for row in found] == pytest.approx([0.0, 0.05, 0.05])
    _, _, cells = corridor_cells((0.0, 0.0, 0.0), truth)
    assert found[0].clear == found[0].found + found[0].false_lethal == cells.sum() - 9


def test_a_coarser_map_is_read_at_the_centres_of_the_true_cells():
    truth = grid(FREE)
    truth.data[at(0.825, 0.025)] = truth.data[at(0.875, 0.025)] = OCCUPIED
    said = Occupancy(np.zeros((20, 50), np.int8), 0.1, (-0.5, -1.0), 0)
    said.data[10, 13] = 100  # 0.8 to 0.9, 0 to 0.1
    (row,) = rows_of(truth, said)
    assert (row.blocked, row.missed) == (2, 0)
    (row,) = rows_of(truth, Occupancy(said.data[:, :5], 0.1, (-0.5, -1.0), 0))
    assert (row.blocked, row.missed, row.found) == (2, 0, 0)  # beyond the map all is unknown


def test_no_truth_no_row_and_damaged_truth_is_told(tmp_path: Path):
    late = true_maps(tmp_path, grid(FREE, stamp=5 * TENTH))
    assert late.at(5 * TENTH - 1) is None and late.frame == "odom"
    assert (late.at(6 * TENTH) or grid(9)).stamp_ns == 5 * TENTH
    assert late.damaged == []
    message = messages.occupancy_grid(grid(FREE), "odom")
    message.info.width = 7
    with BagWriter(tmp_path / "bad.mcap") as bag:
        bag.write(OCCUPANCY_TOPIC, message, 1)
        bag.write(OCCUPANCY_TOPIC, messages.occupancy_grid(grid(FREE), "odom"), 2)
        bag.write(OCCUPANCY_TOPIC, messages.occupancy_grid(grid(FREE, stamp=1), "map"), 3)
    with BagReader(tmp_path / "bad.mcap") as reader:
        found = TrueMaps(reader)
    assert len(found) == 1
    assert found.damaged == [
        f"{OCCUPANCY_TOPIC} at 1: 4000 cells, expected 7 x 40",
        f"{OCCUPANCY_TOPIC} at 3: frame 'map', expected 'odom' as before",
    ]


def test_it_is_scored_by_the_metre(tmp_path: Path):
    world = Occupancy(np.full((80, 160), FREE, np.int8), CELL, (-1.0, -2.0), START_NS)
    world.data[:, 100:] = OCCUPIED  # the box at 4 m
    evaluate_bag(write_drive(tmp_path / "d.mcap", occupancy=world), MODEL, tmp_path / "out")
    with Store(tmp_path / "out" / STORE) as store:
        rows = store.rows("corridor", "metres, clear, found, false_free_events")
        reader = ScoreReader(store, [f"c{i}" for i in range(10)])
        scores = reader.values(reader.tallies([Selection()])[Selection()])
    assert len(rows) == 12 and sum(row[0] for row in rows) == pytest.approx(0.55, abs=1e-6)
    assert scores["corridor_free_recall"] == pytest.approx(sum(r[2] for r in rows) / sum(r[1] for r in rows), abs=1e-6)
    assert scores["corridor_false_free"] == 0
