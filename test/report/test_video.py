"""Videos as a player reads them, GIFs as Pillow reads them."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from gemini_ros.report.video import VideoError, video_writer, write_gif

SIZE = (96, 64)


def moving_square(count, size=SIZE):
    """A white square that wanders right by 2 pixels a frame on dark green."""
    frames = np.zeros((count, size[1], size[0], 3), np.uint8)
    frames[:] = (0, 60, 0)
    for i in range(count):
        frames[i, 20:36, 2 * i : 2 * i + 16] = 255
    return list(frames)


@pytest.fixture
def mp4(tmp_path):
    path = tmp_path / "deep" / "drive.mp4"
    with video_writer(path, SIZE, 10) as write:
        for frame in moving_square(20):
            write(frame)
    return path


def test_video_shows_every_frame_in_its_colours(mp4):
    capture = cv2.VideoCapture(str(mp4))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    read = []
    while (got := capture.read())[0]:
        read.append(got[1][:, :, ::-1])
    assert len(read) == 20
    for seen, sent in zip(read, moving_square(20), strict=True):
        assert seen.shape == sent.shape
        assert np.abs(seen.astype(int) - sent).mean() < 6


def test_video_is_what_browsers_play(mp4):
    import imageio_ffmpeg

    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(mp4)],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert re.search(r"Video: h264 .*yuv420p.* 96x64", told), told
    assert "Duration: 00:00:02.00" in told
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that playing starts while loading"


def test_same_frames_make_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        with video_writer(tmp_path / name, SIZE, 10) as write:
            for frame in moving_square(5):
                write(frame)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_failed_video_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), video_writer(tmp_path / "x.mp4", SIZE, 10) as write:
        write(moving_square(1)[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(VideoError, match="no frame"), video_writer(tmp_path / "x.mp4", SIZE, 10):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "fps", "said"), [((95, 64), 10, "even"), ((96, 64), 0, "more than 0")])
def test_impossible_video_is_refused(tmp_path, size, fps, said):
    with pytest.raises(VideoError, match=said), video_writer(tmp_path / "x.mp4", size, fps):
        pass


def test_frame_of_other_size_is_refused(tmp_path):
    with (
        pytest.raises(VideoError, match=r"\(96, 64, 3\).*expected uint8 \(64, 96, 3\)"),
        video_writer(tmp_path / "x.mp4", SIZE, 10) as write,
    ):
        write(np.zeros((96, 64, 3), np.uint8))


def test_missing_encoder_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with (
        pytest.raises(VideoError, match=r"imageio-ffmpeg is missing: pip install"),
        video_writer(tmp_path / "x.mp4", SIZE, 10),
    ):
        pass


def test_gif_runs_in_real_time(tmp_path):
    assert write_gif(tmp_path / "a.gif", moving_square(30), 30) == (1.0, 1)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == SIZE
        assert gif.info["loop"] == 0
        total = 0
        for i in range(gif.n_frames):
            gif.seek(i)
            total += gif.info["duration"]
        assert gif.n_frames == 30
        assert total == 1000
        gif.seek(10)
        shown = np.asarray(gif.convert("RGB"))
    assert np.abs(shown.astype(int) - moving_square(30)[10]).max() <= 8


def test_gif_shrinks_until_it_fits(tmp_path):
    rng = np.random.default_rng(1)
    frames = list(rng.integers(0, 255, (6, 64, 96, 3), np.uint8))
    scale, stride = write_gif(tmp_path / "a.gif", frames, 10, max_bytes=10_000)
    assert (tmp_path / "a.gif").stat().st_size <= 10_000
    assert scale < 1
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (round(96 * scale), round(64 * scale))
        assert gif.n_frames == -(-6 // stride)
    with pytest.raises(VideoError, match="shorter cut"):
        write_gif(tmp_path / "b.gif", frames, 10, max_bytes=100)
    assert not (tmp_path / "b.gif").exists()
    with pytest.raises(VideoError, match="no frame"):
        write_gif(tmp_path / "b.gif", [], 10)


def test_gif_keeps_what_changes_by_noise_alone_and_shows_every_change(tmp_path):
    rng = np.random.default_rng(0)
    still = np.full((60, 80, 3), (40, 90, 140), np.uint8)
    noisy = [still + rng.integers(0, 5, still.shape).astype(np.uint8) for _ in range(12)]
    write_gif(tmp_path / "a.gif", noisy, 10)
    write_gif(tmp_path / "b.gif", noisy[:1], 10)
    assert (tmp_path / "a.gif").stat().st_size < 1.5 * (tmp_path / "b.gif").stat().st_size
    for i, frame in enumerate(noisy):
        frame[20:30, 5 * i : 5 * i + 10] = (250, 200, 20)
    write_gif(tmp_path / "c.gif", noisy, 10)
    with Image.open(tmp_path / "c.gif") as gif:
        for i, frame in enumerate(noisy):
            gif.seek(i)
            assert np.abs(np.asarray(gif.convert("RGB"), int) - frame).max() <= 24


def test_gif_leaves_nothing_of_a_scene_behind_when_it_changes(tmp_path):
    first, second = np.full((2, 60, 80, 3), 200, np.uint8)
    first[:20] = (20, 24, 28)
    second[:] = (26, 30, 34)
    write_gif(tmp_path / "a.gif", [first, second], 10)
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        assert np.ptp(np.asarray(gif.convert("RGB"), int), axis=(0, 1)).max() == 0
