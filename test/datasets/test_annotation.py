"""The worst frames of a run to annotators and back: the list, a model's labels for CVAT, and what comes back."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.annotation import PRELABELS
from gemini_ros.datasets.cvat import read_masks, write_masks
from gemini_ros.evaluation.store import STORE, Store
from gemini_ros.evaluation.worst import worst_frames
from test.evaluation.drive import write_drive

MODEL = str(Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx")
NAMES = load_label_set("warehouse").names
FROM_BAG = ["dataset", "from-bag"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A drive and the folder of its evaluation; the truth of the fourth frame is the worst."""
    folder = tmp_path_factory.mktemp("run")

    def spoil(stream, i, message):
        return None if stream == "labels" and i in (8, 9, 10, 11) else message

    bag = write_drive(folder / "drive.mcap", tamper=spoil)
    assert main(["evaluate", str(bag), "--model", MODEL, "--out", str(folder / "out")]) == 0
    return bag, folder / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_has_the_worst_of_each_half_second_those_with_truth_first(run):
    _, out = run
    with Store(out / STORE) as store:
        frames = worst_frames(store)
        wrong = {}
        for frame, truth, predicted, pixels in store.rows("confusion", "frame, truth, predicted, pixels"):
            bad, of = wrong.get(frame, (0, 0))
            wrong[frame] = bad + pixels * (truth != predicted), of + pixels
        shares = {frame: bad / of for frame, (bad, of) in wrong.items()}
        seconds = dict(store.rows("frames", "frame, seconds"))
    halves = {int(second / 0.5) for second in seconds.values()}
    assert len(frames) == len(halves) and [frame.wrong is None for frame in frames] == [False, False, True]
    assert frames[0].wrong == pytest.approx(max(shares.values()))
    assert frames[0].badness >= frames[1].badness >= frames[2].badness
    listed = rows(out / "worst.csv")
    assert [int(row["stamp_ns"]) for row in listed] == [frame.stamp_ns for frame in frames]
    assert listed[2]["wrong"] == "" and float(listed[0]["wrong"]) == pytest.approx(frames[0].wrong, abs=1e-6)


def test_there_and_back(run, tmp_path: Path, capsys):
    bag, out = run
    folder = tmp_path / "worst"
    command = [*FROM_BAG, str(bag), "--out", str(folder), "--frames", str(out / "worst.csv"), "--model", MODEL]
    assert main(command) == 0
    assert "3 frames of rgb, depth, thermal" in capsys.readouterr().out
    stems = sorted(path.stem for path in (folder / "rgb").iterdir())
    assert stems == sorted(row["stamp_ns"] for row in rows(out / "worst.csv"))
    said = read_masks(folder / PRELABELS, NAMES)
    assert sorted(said) == stems and all(labels.shape == (64, 96) for labels in said.values())
    had = sorted((folder / "labels").iterdir())  # the bag's own, of the two frames that have them
    assert [path.stem for path in had] == [stem for stem in stems if stem in {path.stem for path in had}]
    corrected = np.full((64, 96), 255, np.uint8)
    corrected[:30, 10:40] = 4
    write_masks(tmp_path / "corrected.zip", NAMES, [(stems[0], corrected)])
    back = ["dataset", "import-labels", str(folder), str(tmp_path / "corrected.zip"), "--label-set", "warehouse"]
    assert main(back) == 2
    assert f"labels of {stems[0]} are there: add --replace" in capsys.readouterr().err
    assert main([*back, "--replace"]) == 0
    assert (cv2.imread(str(folder / f"labels/{stems[0]}.png"), cv2.IMREAD_UNCHANGED) == corrected).all()
    assert main(["dataset", "check", str(folder), "--layout", "recorded", "--label-set", "warehouse"]) == 0


def test_masks_are_those_of_the_format(tmp_path: Path):
    labels = np.array([[0, 1, 255], [9, 9, 0]], np.uint8)
    assert write_masks(tmp_path / "m.zip", NAMES, [("a", labels)]) == 1
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()
        image = cv2.imdecode(np.frombuffer(archive.read("SegmentationClass/a.png"), np.uint8), cv2.IMREAD_COLOR)
        assert archive.read("ImageSets/Segmentation/default.txt") == b"a\n"
    assert lines[1:3] == ["background:0,0,0::", f"{NAMES[0]}:128,0,0::"]  # Pascal VOC's first colour
    assert image[0, 2].tolist() == [0, 0, 0] and image[0, 0].tolist() == [0, 0, 128]
    assert len({line.partition(":")[2] for line in lines[1:]}) == len(NAMES) + 1
    assert (read_masks(tmp_path / "m.zip", NAMES)["a"] == labels).all()


def test_a_class_that_is_called_background_is_one(tmp_path: Path):
    names, labels = ["background", "path", "hedge"], np.array([[0, 1, 2, 255]], np.uint8)
    write_masks(tmp_path / "m.zip", names, [("a", labels)])
    assert (read_masks(tmp_path / "m.zip", names)["a"] == labels).all()


def test_images_that_lie_otherwise_are_labelled_by_their_layout(tmp_path: Path, capsys):
    layout = {
        "name": "own",
        "source": "ours",
        "label_set": None,
        "frames": "labelled",
        "one_size": False,
        "unpack": False,
        "images": {"rgb": {"path": "color/{stem}.jpg"}, "labels": {"path": "marks/{stem}.png"}},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(layout))
    (tmp_path / "set/color").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set/color/a.jpg"), np.zeros((2, 4, 3), np.uint8))
    labels = np.array([[0, 1, 255, 2], [3, 3, 3, 0]], np.uint8)
    write_masks(tmp_path / "m.zip", NAMES, [("a", labels)])
    command = ["dataset", "import-labels", str(tmp_path / "set"), str(tmp_path / "m.zip"), "--label-set", "warehouse"]
    assert main(command) == 2
    assert "set/rgb/{stem}.png" in capsys.readouterr().err
    assert main([*command, "--layout", str(tmp_path / "own.yaml")]) == 0
    assert (cv2.imread(str(tmp_path / "set/marks/a.png"), cv2.IMREAD_UNCHANGED) == labels).all()


def archive_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_map", "labelmap.txt").replace("mask", "SegmentationClass/a.png"), data)
    return path


GRAY = cv2.imencode(".png", np.full((2, 3, 3), 7, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "no labelmap.txt in it, expected an export of CVAT as 'Segmentation mask 1.1'"),
        ({"_map": b"floor:1,2,3::\n"}, "no SegmentationClass/*.png in it"),
        ({"_map": b"floor:1,2\n"}, "labelmap.txt: 'floor:1,2', expected NAME:R,G,B::"),
        ({"_map": b"floor:1,2,300::\n"}, "expected NAME:R,G,B::"),
        ({"_map": b"moon:1,2,3::\n"}, "classes moon, expected some of floor, "),
        ({"_map": b"floor:1,2,3::\nwall:1,2,3::\n", "mask": GRAY}, "wall in the colour of another class"),
        ({"_map": b"floor:0,0,0::\n", "mask": GRAY}, "floor in black, which is unlabelled"),
        ({"_map": b"floor:1,2,3::\n", "mask": GRAY}, "1 colours that labelmap.txt does not name, such as (7, 7, 7)"),
        ({"_map": b"floor:7,7,7::\n", "mask": GRAY[:40]}, "SegmentationClass/a.png: PNG image of 3x2 is truncated"),
        ({"_map": b"floor:7,7,7::\n", "mask": GRAY}, "images a, expected some of "),
    ],
)
def test_what_does_not_come_from_there_is_told_and_writes_nothing(members, sentence, run, tmp_path: Path, capsys):
    bag, _ = run
    folder = tmp_path / "frames"
    assert main([*FROM_BAG, str(bag), "--out", str(folder), "--every", "0.5"]) == 0
    before = {path: path.read_bytes() for path in (folder / "labels").iterdir()}
    archive = archive_of(tmp_path / "a.zip", **members)
    assert main(["dataset", "import-labels", str(folder), str(archive), "--label-set", "warehouse"]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in (folder / "labels").iterdir()} == before


def test_wrong_lists_are_told(run, tmp_path: Path, capsys):
    bag, out = run
    for text, sentence in (
        ("bag,stamp_ns\nx,1\n", "expected a list with the columns bag, sha256 and stamp_ns"),
        ("bag,sha256,stamp_ns\nx,1,soon\n", "expected a list with the columns"),
        ("bag,sha256,stamp_ns\nx,1,1\ny,2,1\n", "no frame of "),
    ):
        (tmp_path / "list.csv").write_text(text)
        command = [*FROM_BAG, str(bag), "--out", str(tmp_path / "f"), "--frames", str(tmp_path / "list.csv")]
        assert main(command) == 2
        assert sentence in capsys.readouterr().err
    (tmp_path / "no.zip").write_bytes(b"PK no")
    assert main(["dataset", "import-labels", str(tmp_path), str(tmp_path / "no.zip"), "--label-set", "warehouse"]) == 2
    assert "expected a ZIP archive of CVAT" in capsys.readouterr().err
    late = [dict(row, stamp_ns=str(int(row["stamp_ns"]) + 1)) for row in rows(out / "worst.csv")]
    with (tmp_path / "late.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(late[0]))
        writer.writeheader()
        writer.writerows(late)
    assert main([*FROM_BAG, str(bag), "--out", str(tmp_path / "g"), "--frames", str(tmp_path / "late.csv")]) == 2
    assert "of the 3 stamps that are wanted" in capsys.readouterr().err
