"""Labels by a plane: on a written room, and what lies between them."""

import json
import sys

import cv2
import numpy as np

from benchmarks import plane_labels
from benchmarks.plane_labels import FLOOR, WALL

CAMERA = "100,100,79.5,59.5"


def test_a_room_is_labelled_by_its_depth_alone(tmp_path, monkeypatch, capsys):
    """A floor 1.2 m below the camera and a wall 4 m away, whose true labels say the opposite."""
    room, out = tmp_path / "room", tmp_path / "out"
    for kind in ("rgb", "depth", "label40"):
        (room / kind).mkdir(parents=True)
    below = np.maximum((np.mgrid[:120, :160][0] - 59.5) / 100, 1e-6)
    depth = np.minimum(1.2 / below, 4.0)
    truth = np.where(depth < 4, WALL, FLOOR).astype(np.uint8)
    cv2.imwrite(str(room / "rgb/0.jpg"), np.full((120, 160, 3), 90, np.uint8))
    cv2.imwrite(str(room / "depth/0.png"), np.round(1000 * depth).astype(np.uint16))
    cv2.imwrite(str(room / "label40/0.png"), truth)
    arguments = ["plane_labels", str(room), "--camera", CAMERA, "--out", str(out), "--json", str(tmp_path / "r.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    plane_labels.main()
    labels = cv2.imread(str(out / "label40/0.png"), cv2.IMREAD_UNCHANGED)
    assert np.mean(labels[depth < 3.5] == FLOOR) > 0.95 and np.all(labels[:80] == WALL)
    assert (out / "depth/0.png").resolve() == (room / "depth/0.png").resolve()
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["iou"][0] < 0.05 and result["images"] == 1
    assert "precision" in capsys.readouterr().out


def test_the_border_is_not_labelled_and_specks_are_gone():
    floor = np.zeros((40, 40), bool)
    floor[20:] = True
    floor[5, 5] = True
    labels = plane_labels.plane_labels(floor, 3)
    assert np.all(labels[:17] == WALL) and np.all(labels[23:] == FLOOR) and np.all(labels[17:23] == 255)
