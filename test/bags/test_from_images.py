import logging

import cv2
import numpy as np
import pytest

from gemini_ros.bags.from_images import START_NS, Units, bag_from_images
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import COLOR_FRAME, DEFAULT_TOPICS, NOTES_TOPIC
from gemini_ros.cli import main
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info, stamp_ns
from gemini_ros.core.frames import Intrinsics
from gemini_ros.doctor.bag import check_bag
from gemini_ros.pipeline.streams import find_topics
from test.core.index_png import index_png

CAMERA = (50.0, 51.0, 3.5, 2.5)
SIZE = (5, 7)


def save(folder, **images):
    """Write images, RGB order, to ``folder``; a name's `_` before the suffix is its dot."""
    folder.mkdir(exist_ok=True)
    for name, array in images.items():
        stem, _, suffix = name.rpartition("_")
        stored = array[..., ::-1] if array.ndim == 3 else array
        assert cv2.imwrite(str(folder / f"{stem}.{suffix}"), stored)
    return folder


def rgb(value):
    return np.full((*SIZE, 3), (value, 10, 20), np.uint8)


def make(tmp_path, folders, fps=10.0, intrinsics=CAMERA, **options):
    return bag_from_images(tmp_path / "x.mcap", folders, fps=fps, intrinsics=intrinsics, **options)


def read(tmp_path, **thermal):
    """Decoded images by stream, each a list of (stamp, array)."""
    with BagReader(tmp_path / "x.mcap") as reader:
        found = {}
        for stream, topic in find_topics(reader).images().items():
            messages = [reader.deserialize(m) for m in reader.messages([topic])]
            assert {m.header.frame_id for m in messages} == {COLOR_FRAME}
            found[stream] = [(stamp_ns(m), decode_image(m, stream)) for m in messages]
        return found


def test_streams_meet_on_one_stamp_in_natural_order(tmp_path):
    names = ["f2", "f10", "f1"]
    color = save(tmp_path / "rgb", **{f"{n}_png": rgb(int(n[1:])) for n in names})
    depth = save(tmp_path / "depth", **{f"{n}_png": np.full(SIZE, 100 * int(n[1:]), np.uint16) for n in names})
    labels = save(tmp_path / "labels", **{f"{n}_png": np.full(SIZE, int(n[1:]), np.uint8) for n in names})
    (color / "notes.txt").write_text("no image")
    made = make(tmp_path, {"rgb": color, "depth": depth, "labels": labels}, fps=3)
    assert (made.frames, made.images, made.size) == (3, {"rgb": 3, "depth": 3, "labels": 3}, (7, 5))
    found = read(tmp_path)
    stamps = [START_NS, START_NS + 333_333_333, START_NS + 666_666_667]
    assert {stream: [stamp for stamp, _ in of] for stream, of in found.items()} == dict.fromkeys(found, stamps)
    for index, number in enumerate((1, 2, 10)):
        np.testing.assert_array_equal(found["rgb"][index][1], rgb(number))
        np.testing.assert_array_equal(found["depth"][index][1], np.full(SIZE, 0.1 * number, np.float32))
        np.testing.assert_array_equal(found["labels"][index][1], np.full(SIZE, number, np.uint8))


@pytest.mark.parametrize("color_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_label_images_are_numbers_whatever_they_show(tmp_path, depth, color_type):
    numbers = np.random.default_rng(depth).integers(0, 2**depth, SIZE).astype(np.uint8)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.png").write_bytes(index_png(numbers, depth, color_type))
    make(tmp_path, {"rgb": save(tmp_path / "rgb", a_png=rgb(1)), "labels": tmp_path / "labels"})
    np.testing.assert_array_equal(read(tmp_path)["labels"][0][1], numbers)


def test_every_image_stream_has_its_camera(tmp_path):
    color = save(tmp_path / "rgb", a_png=rgb(1))
    depth = save(tmp_path / "depth", a_png=np.ones(SIZE, np.uint16))
    make(tmp_path, {"rgb": color, "depth": depth})
    with BagReader(tmp_path / "x.mcap") as reader:
        infos = {m.topic: reader.deserialize(m) for m in reader.messages() if m.msgtype.endswith("CameraInfo")}
    assert set(infos) == {DEFAULT_TOPICS.rgb_info, DEFAULT_TOPICS.depth_info}
    for info in infos.values():
        assert intrinsics_from_camera_info(info) == Intrinsics(7, 5, *CAMERA)
        assert stamp_ns(info) == START_NS


def test_jpeg_is_stored_as_it_is(tmp_path):
    color = save(tmp_path / "rgb", a_jpg=rgb(200))
    make(tmp_path, {"rgb": color})
    with BagReader(tmp_path / "x.mcap") as reader:
        (stored,) = reader.messages([DEFAULT_TOPICS.rgb])
        message = reader.deserialize(stored)
    assert bytes(message.data) == (color / "a.jpg").read_bytes()
    assert message.format == "rgb8; jpeg compressed bgr8"


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_other_colour_images_keep_every_value(tmp_path, suffix):
    picture = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    make(tmp_path, {"rgb": save(tmp_path / "rgb", **{f"a_{suffix}": picture})})
    np.testing.assert_array_equal(read(tmp_path)["rgb"][0][1], picture)


@pytest.mark.parametrize("suffix", ["png", "pgm", "tiff"])
def test_depth_units(tmp_path, suffix):
    raw = np.zeros(SIZE, np.uint16)
    raw[0, :5] = 5000, 7500, 1, 3, 65535
    folders = {
        "rgb": save(tmp_path / "rgb", a_png=rgb(1)),
        "depth": save(tmp_path / "depth", **{f"a_{suffix}": raw}),
    }
    make(tmp_path, folders, units=Units(depth_per_metre=5000))
    found = read(tmp_path)["depth"][0][1]
    # Rounded to millimetres; what rounds to none is none.
    np.testing.assert_array_equal(found[0, :5], np.array([1, 1.5, np.nan, 0.001, 13.107], np.float32))
    assert np.isnan(found[1:]).all()


def test_float_depth_in_metres(tmp_path):
    depth = np.full(SIZE, np.nan, np.float32)
    depth[1, 2:5] = 1.25, np.inf, -1
    folders = {"rgb": save(tmp_path / "rgb", a_png=rgb(1)), "depth": save(tmp_path / "depth", a_tiff=depth)}
    make(tmp_path, folders, units=Units(depth_per_metre=1))
    found = read(tmp_path)["depth"][0][1]
    assert found[1, 2] == 1.25
    assert np.isnan(found).sum() == found.size - 1


class TestThermal:
    @pytest.fixture
    def folders(self, tmp_path):
        def save_as(array):
            return {"rgb": save(tmp_path / "rgb", a_png=rgb(1)), "thermal": save(tmp_path / "thermal", a_png=array)}

        return save_as

    def test_centikelvin_is_the_default(self, tmp_path, folders):
        raw = np.full(SIZE, 29815, np.uint16)
        raw[0, 0] = 0
        assert make(tmp_path, folders(raw)).notes == ()
        found = read(tmp_path)["thermal"][0][1]
        assert np.isnan(found[0, 0]) and (found.ravel()[1:] == 25).all()

    def test_scaled_16_bit(self, tmp_path, folders):
        raw = np.full(SIZE, 700, np.uint16)
        raw[0, 0] = 0
        made = make(tmp_path, folders(raw), units=Units(thermal_scale=0.1, thermal_offset=-40))
        assert made.notes == ("thermal: 0.1 x value + -40 degrees Celsius of uint16 images",)
        found = read(tmp_path)["thermal"][0][1]
        assert np.isnan(found[0, 0]) and (found.ravel()[1:] == 30).all()

    @pytest.mark.parametrize("channels", [1, 3])
    def test_8_bit_is_a_pseudo_temperature_and_the_bag_says_so(self, tmp_path, folders, caplog, channels):
        raw = np.arange(35, dtype=np.uint8).reshape(SIZE)
        stored = raw if channels == 1 else np.dstack([raw] * 3)
        with caplog.at_level(logging.WARNING):
            made = make(tmp_path, folders(stored), units=Units(thermal_scale=0.5, thermal_offset=10))
        note = "thermal: pseudo-temperature 0.5 x value + 10 degrees Celsius of 8-bit images with automatic gain; not "
        assert made.notes == (note + "radiometric",)
        assert caplog.messages == [note + "radiometric"]
        with BagReader(tmp_path / "x.mcap") as reader:
            assert [reader.deserialize(m).data for m in reader.messages([NOTES_TOPIC])] == [note + "radiometric"]
            assert reader.qos[NOTES_TOPIC] is not None
        np.testing.assert_array_equal(read(tmp_path)["thermal"][0][1], (raw * 0.5 + 10).astype(np.float32))

    def test_8_bit_without_a_scale_is_refused(self, tmp_path, folders):
        with pytest.raises(BagError, match=r"thermal/a\.png: thermal image of uint8.*--thermal-scale"):
            make(tmp_path, folders(np.zeros(SIZE, np.uint8)))
        assert not (tmp_path / "x.mcap").exists()

    def test_false_colours_are_refused(self, tmp_path, folders):
        with pytest.raises(BagError, match=r"a\.png: thermal image of 3 x uint8 per pixel, expected one channel"):
            make(tmp_path, folders(rgb(3)), units=Units(thermal_scale=1, thermal_offset=0))

    def test_scale_without_offset(self):
        with pytest.raises(BagError, match="belong together"):
            Units(thermal_scale=0.1)


class TestPairs:
    @pytest.fixture
    def folders(self, tmp_path):
        return {
            "rgb": save(tmp_path / "rgb", a_png=rgb(1), b_png=rgb(2), c_png=rgb(3)),
            "depth": save(tmp_path / "depth", b_png=np.ones(SIZE, np.uint16), d_png=np.ones(SIZE, np.uint16)),
        }

    def test_an_unpaired_stem_is_named(self, tmp_path, folders):
        with pytest.raises(BagError, match=r"rgb has no image 'd' in .*rgb.*--allow-unpaired"):
            make(tmp_path, folders)
        (tmp_path / "depth/d.png").unlink()
        with pytest.raises(BagError, match=r"depth has no image 'a' and 1 more in .*depth"):
            make(tmp_path, folders)

    def test_unpaired_stems_can_be_allowed(self, tmp_path, folders):
        assert make(tmp_path, folders, allow_unpaired=True).frames == 4
        found = read(tmp_path)
        tenth = 100_000_000
        assert [(stamp - START_NS) // tenth for stamp, _ in found["rgb"]] == [0, 1, 2]
        assert [(stamp - START_NS) // tenth for stamp, _ in found["depth"]] == [1, 3]

    def test_two_files_of_one_stem(self, tmp_path, folders):
        save(tmp_path / "rgb", a_jpg=rgb(1))
        with pytest.raises(BagError, match=r"a\.jpg and a\.png have one stem"):
            make(tmp_path, folders)


class TestBadInput:
    @pytest.fixture
    def color(self, tmp_path):
        return save(tmp_path / "rgb", a_png=rgb(1), b_png=rgb(2))

    def test_another_size_names_both(self, tmp_path, color):
        depth = save(tmp_path / "depth", a_png=np.ones(SIZE, np.uint16), b_png=np.ones((6, 9), np.uint16))
        with pytest.raises(BagError, match=r"depth/b\.png is 9x6, .*rgb/a\.png is 7x5"):
            make(tmp_path, {"rgb": color, "depth": depth})
        assert sorted(p.name for p in tmp_path.iterdir()) == ["depth", "rgb"]

    def test_8_bit_depth(self, tmp_path, color):
        depth = save(tmp_path / "depth", a_png=np.ones(SIZE, np.uint8), b_png=np.ones(SIZE, np.uint8))
        with pytest.raises(
            BagError, match=r"a\.png: depth image of 1 x uint8 per pixel, expected one channel of uint16"
        ):
            make(tmp_path, {"rgb": color, "depth": depth})

    def test_an_image_larger_than_its_file_is_refused_before_it_is_decoded(self, tmp_path):
        (tmp_path / "rgb").mkdir()
        (tmp_path / "rgb/a.ppm").write_bytes(b"P6 30000 30000 255\n")
        with pytest.raises(BagError, match=r"a\.ppm: image of 30000x30000, expected at most 16777216 pixels"):
            make(tmp_path, {"rgb": tmp_path / "rgb"})

    @pytest.mark.parametrize("name", ["b.png", "b.jpg", "b.tiff"])
    @pytest.mark.parametrize("content", [b"", b"no image at all"])
    def test_damaged_file_is_named(self, tmp_path, color, name, content):
        (color / "b.png").unlink()
        (color / name).write_bytes(content)
        with pytest.raises(BagError, match=rf"rgb/{name}: "):
            make(tmp_path, {"rgb": color})

    def test_truncated_file_is_named(self, tmp_path, color):
        data = (color / "b.png").read_bytes()
        (color / "b.png").write_bytes(data[:-20])
        with pytest.raises(BagError, match=r"rgb/b\.png: PNG image of .*truncated"):
            make(tmp_path, {"rgb": color})

    def test_folders(self, tmp_path, color):
        (tmp_path / "none").mkdir()
        with pytest.raises(BagError, match=r"none: no images, expected files \*\.png"):
            make(tmp_path, {"rgb": tmp_path / "none"})
        with pytest.raises(BagError, match="gone: not a folder"):
            make(tmp_path, {"rgb": tmp_path / "gone"})
        with pytest.raises(BagError, match="folders for depth, expected rgb"):
            make(tmp_path, {"depth": color})
        with pytest.raises(BagError, match="folders for rgb, infrared, expected rgb"):
            make(tmp_path, {"rgb": color, "infrared": color})

    @pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
    def test_fps(self, tmp_path, color, fps):
        with pytest.raises(BagError, match="frames per second"):
            make(tmp_path, {"rgb": color}, fps=fps)

    def test_intrinsics(self, tmp_path, color):
        with pytest.raises(BagError, match=r"fx, fy, cx, cy = \(0, 1, 1, 1\): .*positive"):
            make(tmp_path, {"rgb": color}, intrinsics=(0, 1, 1, 1))

    @pytest.mark.parametrize("units", [0, -1, float("nan")])
    def test_depth_units(self, units):
        with pytest.raises(BagError, match="depth units per metre"):
            Units(depth_per_metre=units)


class TestCommand:
    def test_bag_from_images(self, tmp_path, capsys):
        color = save(tmp_path / "rgb", a_png=rgb(1), b_png=rgb(2))
        thermal = save(tmp_path / "thermal", a_png=np.ones(SIZE, np.uint8), b_png=np.ones(SIZE, np.uint8))
        options = (
            f"--thermal-scale 0.1 --thermal-offset 20 --fps 5 --intrinsics 50,51,3.5,2.5 --out {tmp_path / 'y.mcap'}"
        )
        assert main(f"bag from-images --rgb {color} --thermal {thermal} {options}".split()) == 0
        assert "y.mcap: 2 frames of 7x5: 2 rgb, 2 thermal" in capsys.readouterr().out
        assert main(f"bag check {tmp_path / 'y.mcap'}".split()) == 0
        assert "note: thermal: pseudo-temperature" in capsys.readouterr().out

    def test_bad_input_is_status_2(self, tmp_path, capsys):
        out = tmp_path / "y.mcap"
        assert main(f"bag from-images --rgb {tmp_path} --fps 5 --intrinsics 1,1,1,1 --out {out}".split()) == 2
        assert "no images" in capsys.readouterr().err
        with pytest.raises(SystemExit, match="2"):
            main(f"bag from-images --rgb {tmp_path} --fps 5 --intrinsics 1,1,1 --out {out}".split())
        assert "expected fx,fy,cx,cy" in capsys.readouterr().err


# Folder names, units, intrinsics at 640x480 (made up where the data set states none) and a number of frames.
RECORDED = {
    "icl_living_room": ({"rgb": "rgb", "depth": "depth"}, Units(), (481.2, 480.0, 319.5, 239.5), 10),
    # These five pairs agree with their poses at 1000 per metre, not at the 5000 of the TUM benchmark.
    "tum_rgbd": ({"rgb": "color", "depth": "depth"}, Units(), (518.0, 519.0, 325.5, 253.9), 5),
    "nyudv2_val_640": (
        {"rgb": "rgb", "depth": "depth", "labels": "label40"},
        Units(),
        (518.857901, 519.469611, 325.582449, 253.736166),
        5,
    ),
    "msrs_rgbt": (
        {"rgb": "rgb", "thermal": "thermal"},
        Units(thermal_scale=0.1, thermal_offset=10),
        (600, 600, 320, 240),
        5,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_data(test_data_dir, tmp_path, name):
    if not (test_data_dir / name).is_dir():
        pytest.skip(f"{name} is not among the recorded data")
    names, units, intrinsics, count = RECORDED[name]
    stems = sorted(p.stem for p in (test_data_dir / name / names["rgb"]).iterdir())[:count]
    folders = {}
    for stream, folder in names.items():
        folders[stream] = tmp_path / folder
        folders[stream].mkdir()
        for path in (test_data_dir / name / folder).iterdir():
            if path.stem in stems:
                (folders[stream] / path.name).symlink_to(path)
    made = make(tmp_path, folders, intrinsics=intrinsics, units=units)
    assert (made.frames, made.images, made.size) == (len(stems), dict.fromkeys(names, len(stems)), (640, 480))
    check = check_bag(tmp_path / "x.mcap")
    assert check.passed, check.lines()
    found = read(tmp_path)
    assert set(found) == set(names)
    if "depth" in found:  # rooms, in metres
        middle = np.array([np.nanmedian(depth) for _, depth in found["depth"]])
        assert ((middle > 0.3) & (middle < 8)).all()
    if "thermal" in found:  # 10 + 0.1 x 0-255
        thermal = np.stack([image for _, image in found["thermal"]])
        assert ((thermal >= 10) & (thermal <= 35.5)).all()
        assert made.notes
