"""What is on the contact sheet: columns, rows, colours, and what is said to be missing."""

import cv2
import numpy as np
import pytest

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import LETHAL_COLOR
from gemini_ros.report.canvas import SURFACE
from gemini_ros.report.contact_sheet import Moment, MomentChoice, contact_sheet, write_contact_sheet

LABELS = load_label_set("warehouse")
PERSON = LABELS.classes[6]


def moment(seconds=0.0, *, rgb=True, depth=True, truth=True, occupancy=True, mode="normal"):
    size = (30, 40)
    return Moment(
        seconds,
        mode,
        Frame(
            int(seconds * 1e9),
            "camera",
            rgb=np.full((*size, 3), (10, 200, 30), np.uint8) if rgb else None,
            depth=np.full(size, 2.0, np.float32) if depth else None,
        ),
        np.full(size, PERSON.id, np.uint8),
        np.full(size, PERSON.id, np.uint8) if truth else None,
        Occupancy(np.full((20, 20), 100, np.int8), 0.05, (0.0, 0.0), 0) if occupancy else None,
    )


def cell(sheet, row, column):
    """The picture in a cell, without its outermost pixels."""
    x, y = 24 + 128 + column * 248, 96 + row * 188
    return sheet[y + 4 : y + 176, x + 4 : x + 236]


def test_each_image_is_in_its_cell():
    sheet = contact_sheet([moment()], LABELS, title="drive.mcap")
    assert (cell(sheet, 0, 0) == (10, 200, 30)).all()
    assert len(np.unique(cell(sheet, 0, 1).reshape(-1, 3), axis=0)) == 1
    assert (cell(sheet, 0, 2) == PERSON.color).all()
    mixed = (np.array((10, 200, 30)) + PERSON.color) / 2
    assert np.abs(cell(sheet, 0, 3) - mixed).max() <= 1
    assert (cell(sheet, 0, 4)[:, 60:170] == LETHAL_COLOR).all()
    assert (cell(sheet, 0, 4)[:, :20] == SURFACE).all()


def test_column_nobody_has_is_left_out():
    full = contact_sheet([moment()], LABELS, title="")
    less = contact_sheet([moment(truth=False, depth=False)], LABELS, title="")
    assert full.shape[1] - less.shape[1] == 2 * 248


def test_missing_image_is_said_and_labels_lie_over_what_was_used():
    sheet = contact_sheet([moment(), moment(1.0, rgb=False, mode="degrade:rgb")], LABELS, title="")
    missing = cell(sheet, 1, 0)
    assert (missing[:60] == SURFACE).all()
    assert (missing != SURFACE).any(), "the word"
    assert (cell(sheet, 1, 3) != cell(sheet, 0, 3)).any()


def test_rows_grow_downwards_and_no_row_is_refused():
    one, three = (contact_sheet([moment(i) for i in range(n)], LABELS, title="") for n in (1, 3))
    assert three.shape[0] - one.shape[0] == 2 * 188
    with pytest.raises(ValueError, match="no moment"):
        contact_sheet([], LABELS, title="")


def taken(choice, frames):
    return [now for now, mode in frames if choice.takes(now, mode)]


def test_rows_are_the_first_frame_and_the_first_after_each_due_time():
    frames = [(now, "normal") for now in (1, 2, 3, 4, 8, 9, 10)]
    assert taken(MomentChoice([2.5, 5, 6, 9], returns=False), frames) == [1, 3, 8, 9]


@pytest.mark.parametrize(("returns", "rows"), [(False, [0, 2, 4]), (True, [0, 2, 3, 4, 5])])
def test_new_modes_are_shown(returns, rows):
    modes = ["normal", "normal", "hold:rgb", "normal", "hold:depth", "hold:rgb"]
    assert taken(MomentChoice([], returns=returns), enumerate(modes)) == rows


def test_modes_that_come_and_go_take_four_rows_at_most():
    modes = ["normal", "hold:rgb"] * 5
    assert taken(MomentChoice([7], returns=True), enumerate(modes)) == [0, 1, 2, 3, 4, 7]


def test_file_holds_the_sheet(tmp_path):
    moments = [moment(), moment(1.5, depth=False)]
    write_contact_sheet(tmp_path / "out" / "sheet.png", moments, LABELS, title="drive", subtitle="a model")
    stored = cv2.imread(str(tmp_path / "out" / "sheet.png"))[:, :, ::-1]
    np.testing.assert_array_equal(stored, contact_sheet(moments, LABELS, title="drive", subtitle="a model"))
