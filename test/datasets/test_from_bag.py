"""From a bag to a folder for annotation, and back in as training data."""

import cv2
import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS
from gemini_ros.cli import main
from gemini_ros.core.encodings import decode_image, stamp_ns
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import find_resource
from gemini_ros.datasets.folder import find_frames
from gemini_ros.datasets.from_bag import describe_folder, layout_of_folder, write_frame, write_frame_folder
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import load_layout
from gemini_ros.pipeline.settings import DEFAULTS, make_settings
from test.evaluation.drive import BOX, FLOOR, write_drive

LAYOUT = load_layout("recorded")
CLASSES = LAYOUT.images["labels"].class_table(len(load_label_set("warehouse")))


def images_of(bag, stream):
    with BagReader(bag) as reader:
        topic = DEFAULT_TOPICS.images()[stream]
        found = [reader.deserialize(stored) for stored in reader.messages([topic])]
        return [(stamp_ns(message), decode_image(message, stream)) for message in found]


def test_images_come_back_as_the_bag_holds_them(tmp_path):
    """Pairs within the slop although the stamps differ by milliseconds; the name is RGB's stamp."""
    bag = write_drive(tmp_path / "drive.mcap")
    written = write_frame_folder(bag, tmp_path / "out")
    assert (written.frames, written.labelled, written.incomplete) == (12, 12, 0)
    assert written.modalities == ("rgb", "depth", "thermal") and written.faults == ()
    frames = find_frames(tmp_path / "out", LAYOUT, tuple(LAYOUT.images))
    stored = {kind: images_of(bag, kind) for kind in LAYOUT.images}
    assert [frame.record["stem"] for frame in frames] == [str(stamp) for stamp, _ in stored["rgb"]]
    for i, frame in enumerate(frames):
        for kind, path in frame.files.items():
            image = LAYOUT.images[kind]
            found = decoded(kind, read_stored(path, kind, image), image, CLASSES)
            np.testing.assert_allclose(found, stored[kind][i][1], atol=1e-4)


def test_frames_a_time_apart_without_labels_and_annotated_by_hand(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive.mcap", streams=("rgb", "depth", "info"))
    out = tmp_path / "out"
    assert main(["dataset", "from-bag", str(bag), "--out", str(out), "--every", "0.35"]) == 0
    assert "3 frames of rgb, depth, 0 with labels" in capsys.readouterr().out
    check = ["dataset", "check", str(out), "--layout", "recorded", "--label-set", "warehouse"]
    assert main(check) == 2
    assert "no labels image labels/{stem}.png" in capsys.readouterr().err
    second = sorted((out / "rgb").iterdir())[1]
    mask = np.full((64, 96), FLOOR, np.uint8)
    mask[:, :24] = BOX
    cv2.imwrite(str(out / "labels" / second.name), mask)
    assert main(check) == 0
    report = capsys.readouterr().out
    assert "1 frames" in report and "thermal: no image" in report
    (frame,) = find_frames(out, LAYOUT, ("rgb", "depth", "labels"))
    assert frame.files["rgb"] == second


def test_frames_that_lack_a_modality_are_left_out(tmp_path):
    """Thermal gone for two frames: no pair. Depth, which goes along, gone for one: counted as incomplete."""
    gone = {("thermal", 4), ("thermal", 5), ("depth", 8)}
    bag = write_drive(
        tmp_path / "drive.mcap", tamper=lambda stream, i, message: None if (stream, i) in gone else message
    )
    written = write_frame_folder(bag, tmp_path / "out")
    assert (written.frames, written.incomplete) == (9, 1)


def test_a_folder_with_annotations_is_never_written_to(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", frames=2)
    write_frame_folder(bag, tmp_path / "out")
    with pytest.raises(ValueError, match="out: not an empty folder"):
        write_frame_folder(bag, tmp_path / "out")


@pytest.mark.parametrize(
    ("streams", "slop", "message"),
    [
        (("depth", "labels"), 0.02, r"drive\.mcap: no colour image, which annotation needs"),
        (
            ("rgb", "depth"),
            0.001,
            r"drive\.mcap: no frame with rgb and depth within 0\.001 s; set sync\.offset_s\.depth if the clocks differ",
        ),
    ],
)
def test_bags_that_give_no_frame(tmp_path, streams, slop, message):
    bag = write_drive(tmp_path / "drive.mcap", frames=3, streams=streams)
    with pytest.raises(ValueError, match=message):
        write_frame_folder(bag, tmp_path / "out", settings=make_settings({"sync.slop_s": slop}))
    assert not (tmp_path / "out").exists()


def test_modalities_and_topics_are_chosen(tmp_path, capsys):
    bag = str(write_drive(tmp_path / "drive.mcap", frames=3))
    command = ["dataset", "from-bag", bag, "--out"]
    assert main([*command, str(tmp_path / "a"), "--modalities", "rgb,thermal"]) == 0
    out = capsys.readouterr().out
    assert "3 frames of rgb, thermal, 3 with labels" in out
    assert f"thermal  {DEFAULT_TOPICS.thermal} (3 images, " in out
    assert main([*command, str(tmp_path / "b"), "--topic", "thermal=", "--topic", "labels="]) == 0
    assert "3 frames of rgb, depth, 0 with labels" in capsys.readouterr().out
    for words, complaint in (
        (["--modalities", "rgb,radar"], "modalities radar: expected some of rgb, depth, thermal"),
        (["--modalities", "depth"], "no colour image, which annotation needs"),
        (["--topic", "depth=", "--modalities", "rgb,depth"], "no topic of depth; topics there: "),
        (["--camera", "/elsewhere"], "camera /elsewhere: no images in /elsewhere"),
    ):
        assert main([*command, str(tmp_path / "c"), *words]) == 2
        assert complaint in capsys.readouterr().err


COUNTS = {"thermal.scale": 1.0, "thermal.offset": 0.0}


def thermal_frame(values: np.ndarray, stamp: int = 1) -> Frame:
    rgb = np.zeros((*values.shape, 3), np.uint8)
    return Frame.from_images(stamp, "camera", {"rgb": rgb, "thermal": values.astype(np.float32)})


@pytest.mark.parametrize(
    ("settings", "values", "own"),
    [
        (COUNTS, [1, 9000, 65534, np.nan], True),
        (COUNTS, [0, 255, 0, 100], True),  # of 8 bits
        ({"thermal.scale": 0.04, "thermal.offset": -273.15}, [0.04 * 7000 - 273.15, 0.04 * 30000 - 273.15], True),
        # Kelvin as float32: no whole numbers, and centi-Kelvin hold them.
        ({"thermal.scale": 1.0, "thermal.offset": -273.15}, [20.123, 31.456, np.nan], False),
        ({}, [20.123, -30.5, np.nan], False),
    ],
)
def test_thermal_values_come_back_whatever_the_camera_gives(tmp_path, settings, values, own):
    frame = thermal_frame(np.array([values]))
    layout = describe_folder(tmp_path, "drive.mcap", frame, make_settings(settings))
    write_frame(tmp_path, frame, np.zeros((1, len(values)), np.uint8), layout)
    assert (layout_of_folder(tmp_path) != "recorded") == own
    read = load_layout(layout_of_folder(tmp_path))
    (found,) = find_frames(tmp_path, read, ("thermal", "labels"))
    image = read.images["thermal"]
    stored = decoded("thermal", read_stored(found.files["thermal"], "thermal", image), image, CLASSES)
    np.testing.assert_allclose(stored, np.array([values]), atol=0.006)


def test_thermal_values_that_16_bits_do_not_hold_are_refused(tmp_path):
    frame = thermal_frame(np.full((4, 5), 7000.0))
    layout = describe_folder(tmp_path, "drive.mcap", frame, DEFAULTS)
    with pytest.raises(ValueError, match=r"thermal of 7000 to 7000, 100 % of it beyond -273\.14 to 382\.2, which"):
        write_frame(tmp_path, frame, None, layout)
    few = np.full((4, 5), 20.0)
    few[0, 0] = 900.0  # a flame: a hole
    write_frame(tmp_path, thermal_frame(few, 2), None, layout)
    assert cv2.imread(str(tmp_path / "thermal/2.png"), cv2.IMREAD_UNCHANGED)[0, 0] == 0


def test_a_frame_is_never_written_over_another(tmp_path):
    frame = thermal_frame(np.full((4, 5), 20.0))
    layout = describe_folder(tmp_path, "drive.mcap", frame)
    write_frame(tmp_path, frame, None, layout)
    with pytest.raises(ValueError, match=r"1\.png is there already: two frames have the stamp 1"):
        write_frame(tmp_path, frame, None, layout)
    write_frame(tmp_path, frame, None, layout, "1_1")


def test_counts_of_a_camera_file_are_written_as_they_are(tmp_path, capsys):
    """The bag's raw numbers, some 29000, are read as counts."""
    bag, camera = write_drive(tmp_path / "drive.mcap", frames=2), tmp_path / "counts.yaml"
    text = find_resource("config/cameras/bag.yaml").read_text(encoding="utf-8")
    camera.write_text(f"{text}\nthermal.scale: 1.0\nthermal.offset: 0.0\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["dataset", "from-bag", str(bag), "--out", str(out), "--camera", str(camera)]) == 0
    assert f"--layout {out / 'layout.yaml'} --label-set" in capsys.readouterr().out
    assert main(["dataset", "check", str(out), "--layout", str(out / "layout.yaml"), "--label-set", "warehouse"]) == 0
    stored = cv2.imread(str(next((out / "thermal").iterdir())), cv2.IMREAD_UNCHANGED)
    assert 29000 < stored.min() <= stored.max() < 30000


def test_clocks_that_differ_are_named_and_settings_bring_them_together(tmp_path, capsys):
    """Depth is stamped 250 ms late: it pairs with the right frames by its offset alone; --slop would take others."""

    def late(stream, i, message):
        if stream == "depth":
            message.header.stamp.nanosec += 250_000_000
            message.header.stamp.sec += message.header.stamp.nanosec // 1_000_000_000
            message.header.stamp.nanosec %= 1_000_000_000
        return message

    bag = write_drive(tmp_path / "drive.mcap", streams=("rgb", "depth", "info"), tamper=late)
    command = ["dataset", "from-bag", str(bag), "--out", str(tmp_path / "out")]
    assert main([*command, "--slop", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "no frame with rgb and depth within 0.01 s; rgb and depth have not paired" in said
    assert "set sync.offset_s.depth to " in said and "--slop" not in said
    params = tmp_path / "params.yaml"
    params.write_text("segmenter: {ros__parameters: {sync.offset_s.depth: -0.25, sync.slop_s: 0.5}}", encoding="utf-8")
    assert main([*command, "--params", str(params), "--set", "sync.slop_s=0.01"]) == 0
    assert "12 frames of rgb, depth" in capsys.readouterr().out
    depth = load_layout("recorded").images["depth"]
    for path, (_, expected) in zip(sorted((tmp_path / "out/depth").iterdir()), images_of(bag, "depth"), strict=True):
        np.testing.assert_allclose(
            decoded("depth", read_stored(path, "depth", depth), depth, CLASSES), expected, atol=1e-4
        )


def test_settings_reach_the_images(tmp_path):
    """Depth in other units, and only the streams of the setting ``modalities``."""
    bag = write_drive(tmp_path / "drive.mcap", frames=2)
    command = ["dataset", "from-bag", str(bag), "--out", str(tmp_path / "out")]
    assert main([*command, "--set", "depth.scale=0.5", "--set", "modalities=[rgb, depth]"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir() and any(path.iterdir())) == [
        "depth",
        "labels",
        "rgb",
    ]
    stored = cv2.imread(str(min((tmp_path / "out/depth").iterdir())), cv2.IMREAD_UNCHANGED)
    _, metres = images_of(bag, "depth")[0]
    np.testing.assert_allclose(stored[stored > 0] / 1000, metres[np.isfinite(metres)] / 2, atol=1e-3)


def test_frames_that_were_asked_for_in_vain_are_no_matter_of_clocks(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", frames=3)
    with pytest.raises(ValueError, match=r"0\.02 s, of the 1 stamps that are wanted$"):
        write_frame_folder(bag, tmp_path / "out", stamps=[1])
