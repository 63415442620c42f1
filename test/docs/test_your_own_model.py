"""docs/your_own_model.md, run as it stands on a toy yard: from labelled frames to labels out of the live node."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.network.weights_file import read_weights
from test.evaluation.drive import write_drive

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/your_own_model.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH, HEIGHT = 320, 240
CLASSES = ("path", "hedge", "person")


def write_yard(folder: Path, annotations: Path, frames: int) -> None:
    """A path below, a hedge above and a person before both, with COCO's polygons of them."""
    random = np.random.default_rng(frames)
    images, regions = [], []
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for i in range(frames):
        horizon, left = int(random.integers(80, 140)), int(random.integers(20, 240))
        rgb = random.integers(60, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        rgb[:horizon, :, 1] += 120
        rgb[60:200, left : left + 50, 2] += 150
        rows = np.arange(HEIGHT)[:, None]
        depth = np.where(rows < horizon, 6000, 1000 + 20 * (HEIGHT - rows)) + np.zeros((HEIGHT, WIDTH))
        depth[60:200, left : left + 50] = 2500
        cv2.imwrite(str(folder / f"rgb/{i:03d}.png"), rgb)
        cv2.imwrite(str(folder / f"depth/{i:03d}.png"), depth.astype(np.uint16))
        images.append({"id": i, "file_name": f"{i:03d}.png", "width": WIDTH, "height": HEIGHT})
        boxes = [(0, horizon, WIDTH, HEIGHT), (0, 0, WIDTH, horizon), (left, 60, left + 50, 200)]
        for category, (x0, y0, x1, y1) in enumerate(boxes, 1):
            polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
            common = {"iscrowd": 0, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            regions.append(
                common | {"id": len(regions) + 1, "image_id": i, "category_id": category, "segmentation": [polygon]}
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    annotations.write_text(json.dumps({"images": images, "annotations": regions, "categories": categories}))


def test_the_page_is_short() -> None:
    assert len(PAGE.split()) < 1200


@pytest.mark.torch
@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.flaky(reruns=1)
def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    write_yard(tmp_path / "data/yard_train", tmp_path / "yard_train.json", 8)
    write_yard(tmp_path / "data/yard_val", tmp_path / "yard_val.json", 4)
    write_drive(tmp_path / "drive.mcap", frames=12, streams=("rgb", "depth", "odom", "info", "tf"))
    script = "set -e\n" + "\n".join(BLOCK.findall(PAGE))
    tools = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "STEPS": "4"}
    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said[-6000:]

    assert "the encoder, the fusion and the decoder are taken" in said
    assert "the classifier of 3 classes begins anew" in said
    scores = json.loads((tmp_path / "runs/yard/scores.json").read_text())
    assert set(scores["complete"]["all"]["iou"]) == set(CLASSES)
    info = read_weights(tmp_path / "yard.safetensors").info
    assert info.label_set.names == list(CLASSES) and info.calibration is not None
    offline, live = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("offline", "live"))
    assert offline["labels_published"] == offline["inferences"] == 12
    # A slow machine leaves out pairs that are no longer the newest, and says so.
    assert live["labels_published"] == live["inferences"] > 0
    assert live["pairs"] == live["inferences"] + sum(live["dropped_pairs"].values()) == 12
