"""Bags made from recorded images: labels for every pair, and what is missing is said."""

from pathlib import Path

import pytest

from gemini_ros.cli import main
from gemini_ros.pipeline.summary import summary_from_json

MODELS = Path(__file__).parents[1] / "fixtures"
FRAMES = 4
SETS = {
    "icl_living_room": ("rgb", {"depth": "depth"}, ["--depth-units-per-metre", "1000"]),
    "tum_rgbd": ("color", {"depth": "depth"}, ["--depth-units-per-metre", "5000"]),
    "nyudv2_val_640": ("rgb", {"depth": "depth"}, ["--depth-units-per-metre", "1000"]),
    "msrs_rgbt": ("rgb", {"thermal": "thermal"}, ["--thermal-scale", "0.2", "--thermal-offset", "0"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_every_pair_is_labelled(name, test_data_dir, tmp_path, capsys):
    rgb, others, options = SETS[name]
    folders = {"rgb": rgb, **others}
    for stream, folder in folders.items():
        (tmp_path / stream).mkdir()
        for image in sorted((test_data_dir / name / folder).iterdir())[:FRAMES]:
            (tmp_path / stream / image.name).symlink_to(image)
    images = [word for stream in folders for word in (f"--{stream}", str(tmp_path / stream))]
    bag = tmp_path / "bag.mcap"
    camera = ["--fps", "10", "--intrinsics", "525,525,319.5,239.5"]
    assert main(["bag", "from-images", *images, *options, *camera, "--out", str(bag)]) == 0

    second = next(iter(others))
    model = MODELS / f"tiny_rgb_{second}.onnx"
    mounted = ["--camera-in-base", "0,0,0.8,0,0,0"]
    assert main(["evaluate", str(bag), "--model", str(model), "--out", str(tmp_path / "out"), *mounted]) == 0
    summary = summary_from_json((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary.check() == []
    assert summary.pairs == summary.inferences == FRAMES
    assert summary.frames["rgb"].received == summary.frames[second].received == FRAMES
    notes = " ".join(summary.notes)
    assert "no ground truth" in notes
    assert ("no depth" if second == "thermal" else "no odometry") in notes
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size > 10_000
