"""Small trees of the public data sets, path by path as they are published, with exactly known values."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 24, 40
LABELS = np.tile(np.array([[0, 1, 2, 3]], np.uint8), (HEIGHT, WIDTH // 4))  # class ids
LABELS[0] = 255
METRES = np.tile(np.linspace(0.5, 9.5, WIDTH, dtype=np.float32).round(3), (HEIGHT, 1))
METRES[:, 5] = np.nan
WARMTH = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
RGB = np.stack([WARMTH * 6, np.full_like(WARMTH, 90), WARMTH[::-1] + 7], -1)

TREES = {
    "nyudv2_40": [("rgb/0001.jpg", "depth/0001.png", "label40/0001.png")],
    "nyudv2_13": [("rgb/0001.jpg", "depth/0001.png", "label40/0001.png")],
    "sunrgbd_37": [
        ("image/test/img-000001.jpg", "depth/test/00000001.png", "label37/test/00000001.png"),
        ("image/train/img-000001.jpg", "depth/train/00000001.png", "label37/train/00000001.png"),
        ("image/train/img-000002.jpg", "depth/train/00000002.png", "label37/train/00000002.png"),
    ],
    "mfnet_9": [(f"images/{stem}.png", f"labels/{stem}.png") for stem in ("00001D", "00002N", "00003D_flip")],
    "pst900_5": [
        tuple(f"{split}/{kind}/31_bag1a_{i}.png" for kind in ("rgb", "thermal", "labels"))
        for split, i in (("test", 7), ("train", 8))
    ],
    "deliver_25": [
        tuple(
            f"{folder}/{weather}/{split}/MAP_10_point102/045050_{kind}_front.png"
            for folder, kind in (("img", "rgb"), ("depth", "depth"), ("semantic", "semantic"))
        )
        for weather, split in (("cloud", "test"), ("night", "train"), ("sun", "train"))
    ],
}


def write_tree(root: Path, name: str) -> Path:
    """The tree of a data set below ``root``, every frame with the same images."""
    for paths in TREES[name]:
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(file), _stored(name, path))
    if name == "mfnet_9":
        (root / "train.txt").write_text("00001D\n00002N\n")
        (root / "test.txt").write_text("00002N\n")
    return root


def _stored(name: str, path: str) -> np.ndarray:
    millimetres = np.nan_to_num(METRES * 1000).round().astype(np.uint16)
    bgr = RGB[..., ::-1]
    if path.startswith(("label", "semantic")) or "/labels/" in path:
        raised = np.where(LABELS == 255, 0, LABELS + 1).astype(np.uint8)
        if name == "deliver_25":  # class + 1 in red, something else in the others
            return np.stack([raised * 0 + 9, raised * 0 + 8, raised], -1)
        return raised if name == "sunrgbd_37" else LABELS
    if path.startswith("depth"):
        if name == "sunrgbd_37":
            return (millimetres << 3) | (millimetres >> 13)
        if name == "deliver_25":
            number = np.where(np.isnan(METRES), 2**24 - 1, METRES / 1000 * (2**24 - 1)).round().astype(np.uint32)
            return np.stack([number >> 16, (number >> 8) & 255, number & 255], -1).astype(np.uint8)
        return millimetres
    if "thermal" in path:
        return WARMTH
    return np.dstack([bgr, WARMTH]) if name == "mfnet_9" else bgr
