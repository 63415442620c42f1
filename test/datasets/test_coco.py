"""COCO annotations as label images: polygons, RLE, panoptic PNG; crowds, holes and other sizes are refused."""

import json

import cv2
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.annotation import take_labels
from gemini_ros.datasets.coco import _filled, read_coco

NAMES = load_label_set("nav5").names
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]
CATEGORIES = [{"id": 7, "name": "floor"}, {"id": 9, "name": "person"}]


def written(tmp_path, *annotations, categories=CATEGORIES, size=(10, 6)):
    image = {"id": 1, "file_name": "a/5.jpg", "width": size[0], "height": size[1]}
    found = [{"id": i, "image_id": 1, "category_id": 7, "iscrowd": 0, **one} for i, one in enumerate(annotations)]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": [image], "annotations": found, "categories": categories}))
    return path


def text_of(runs):
    """``rleToString`` of cocoapi."""
    out = ""
    for i, run in enumerate(runs):
        x = run - (runs[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = x & 31
            x >>= 5
            more = x != (-1 if bits & 16 else 0)
            out += chr(bits + 48 + (32 if more else 0))
    return out


def runs_of(mask):
    flat = np.concatenate([[0], mask.T.ravel(), [1 - mask.T.ravel()[-1]]])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges])).tolist()


def test_a_smaller_instance_lies_on_a_larger_one_and_the_rest_is_unlabelled(tmp_path):
    small = {"segmentation": [[3, 2, 4.4, 2, 4.4, 3, 3, 3]], "category_id": 9}
    labels = read_coco(written(tmp_path, small, {"segmentation": [SQUARE]}), NAMES)["5"]
    assert labels.shape == (6, 10) and labels[2, 3] == NAMES.index("person") and labels[1, 5] == NAMES.index("floor")
    assert (labels == 255).sum() >= 40 and labels[0, 0] == 255 and labels[5, 9] == 255


@pytest.mark.parametrize("form", [list, text_of])
def test_rle_keeps_holes_in_both_forms(tmp_path, form):
    mask = np.random.default_rng(1).integers(0, 2, (40, 70)).astype(np.uint8)
    mask[3:30, 10:60], mask[10:20, 20:40] = 1, 0
    counts = form(runs_of(mask))
    path = written(tmp_path, {"segmentation": {"size": [40, 70], "counts": counts}}, size=(70, 40))
    np.testing.assert_array_equal(read_coco(path, NAMES)["5"], np.where(mask, 0, 255))


def test_panoptic_segments_have_their_category(tmp_path):
    (tmp_path / "coco").mkdir()
    ids = np.zeros((6, 10, 3), np.uint8)
    ids[:3, :, 2], ids[3:, :5, 1] = 5, 1  # BGR: red 5; green 1 is 256
    cv2.imwrite(str(tmp_path / "coco/5.png"), ids)
    segments = [{"id": 5, "category_id": 7, "iscrowd": 0}, {"id": 256, "category_id": 9, "iscrowd": 0}]
    labels = read_coco(written(tmp_path, {"file_name": "5.png", "segments_info": segments}), NAMES)["5"]
    assert (labels[:3] == 0).all() and (labels[3:, :5] == NAMES.index("person")).all() and (labels[3:, 5:] == 255).all()
    segments[0]["iscrowd"] = 1
    with pytest.raises(ValueError, match=r"segment 5 of 5\.png: a crowd"):
        read_coco(written(tmp_path, {"file_name": "5.png", "segments_info": segments}), NAMES)


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        ({"segmentation": [SQUARE], "iscrowd": 1}, r"annotation 0 of a/5.jpg: a crowd .* remove the annotation"),
        ({"segmentation": [SQUARE, [3, 2, 5, 2, 5, 3, 3, 3]]}, "one polygon inside another.*as RLE"),
        ({"segmentation": {"size": [6, 11], "counts": [66]}}, "mask of 11x6, expected 10x6 as its image"),
        ({"segmentation": {"size": [6, 10], "counts": [66]}}, "do not fill 10x6 pixels"),
        ({"segmentation": [[1, 2, 3]]}, "expected x, y of at least three corners"),
        ({"segmentation": [SQUARE], "category_id": 3}, "annotation 0 of a/5.jpg: category 3, which is not among"),
        ({"segmentation": [SQUARE], "image_id": 8}, "annotation 0 of image 8, which is not there"),
        ({"segmentation": []}, "annotation 0 of a/5.jpg: a box alone, expected polygons or RLE"),
        ({"segmentation": [[20, 1, 26, 1, 26, 4, 20, 4]]}, "lies outside the image of 10x6"),
        ({"segmentation": [["a", 1, 6, 1, 6, 4, 2, 4]]}, "expected x, y of at least three corners"),
        ({"segmentation": {"size": [6, 10, 1], "counts": [60]}}, "mask of 1x10x6, expected 10x6"),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(tmp_path, annotation, found):
    with pytest.raises(ValueError, match=found):
        read_coco(written(tmp_path, annotation), NAMES)


def test_a_polygon_has_the_pixels_whose_centres_it_holds(tmp_path):
    """Against a search of its own: a centre is inside where a ray to the left crosses an odd number of edges."""

    def inside(x, y, corners):
        odd = False
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if (y0 <= y) != (y1 <= y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x:
                odd = not odd
        return odd

    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(-4, 34, (rng.integers(3, 9), 2)).round(rng.integers(0, 3)).tolist()
        expected = [[inside(x + 0.5, y + 0.5, corners) for x in range(30)] for y in range(24)]
        np.testing.assert_array_equal(_filled(np.array(corners), (24, 30)), expected)
    rectangle = written(tmp_path, {"segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]]}, size=(30, 24))
    labels = read_coco(rectangle, NAMES)["5"]
    assert (labels == 0).sum() == 100 and (labels[10:20, 10:20] == 0).all()
    # Side by side no pixel is both; a line and a sliver between two centres have none, and are no holes.
    parts = [[2, 1, 6, 1, 6, 4, 2, 4], [6, 2, 6.4, 2, 6.4, 3, 6, 3], [2, 1, 6, 1, 2, 1]]
    assert (read_coco(written(tmp_path, {"segmentation": parts}), NAMES)["5"] == 0).sum() == 12


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda data: data["images"].append(data["images"][0]), "two images of the id 1"),
        (lambda data: data["images"].append(data["images"][0] | {"id": 2, "file_name": "b/5.png"}), "of the stem 5"),
        (lambda data: data["categories"].append({"id": 7, "name": "person"}), "two categories of the id 7"),
        (lambda data: data["annotations"][0].update(segmentation=[[2, 1, 2.2, 1, 2.2, 4, 2, 4]]), "no pixel is label"),
    ],
)
def test_nothing_is_lost_without_a_word(tmp_path, change, found):
    path = written(tmp_path, {"segmentation": [SQUARE]})
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=found):
        read_coco(path, NAMES)


def test_unknown_categories_are_named(tmp_path):
    path = written(tmp_path, {"segmentation": [SQUARE]}, categories=[{"id": 7, "name": "zebra"}])
    with pytest.raises(ValueError, match="categories zebra, expected some of floor"):
        read_coco(path, NAMES)


def test_labels_go_beside_the_images_of_their_size(tmp_path):
    (tmp_path / "out/rgb").mkdir(parents=True)
    (tmp_path / "out/labels").mkdir()
    cv2.imwrite(str(tmp_path / "out/rgb/5.png"), np.zeros((6, 10, 3), np.uint8))
    path = written(tmp_path, {"segmentation": [SQUARE]})
    assert take_labels(tmp_path / "out", path, load_label_set("nav5")) == 1
    assert cv2.imread(str(tmp_path / "out/labels/5.png"), cv2.IMREAD_UNCHANGED)[2, 3] == 0
