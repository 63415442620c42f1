"""Twelve bags of a second each: three simulated drives, and images of every folder of the recorded data."""

from __future__ import annotations

from pathlib import Path

from gemini_ros.cli import main
from test.evaluation.test_recorded_data import SETS as FULL_SIZE

FRAMES, FPS = 5, 5
SETS = {**FULL_SIZE, "nyudv2_train_320": ("rgb", {"depth": "depth"}, ["--depth-units-per-metre", "1000"])}
# The first image of each bag.
STARTS = {
    "icl_living_room": (0, 25, 50),
    "tum_rgbd": (0,),
    "nyudv2_val_640": (0, 100),
    "nyudv2_train_320": (0,),
    "msrs_rgbt": (0, 15),
}
LIGHTS = ("day", "dim", "dark")


def twelve_bags(folder: Path, data: Path) -> list[Path]:
    """The bags, written into ``folder``; ``data`` has the recorded images."""
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(STARTS)  # a new one belongs here, too
    recorded = [_recorded(folder, data, name, start) for name, starts in STARTS.items() for start in starts]
    return recorded + [_simulated(folder, seed, light) for seed, light in enumerate(LIGHTS)]


def _recorded(folder: Path, data: Path, name: str, start: int) -> Path:
    rgb, others, options = SETS[name]
    words = []
    for stream, source in {"rgb": rgb, **others}.items():
        images = folder / f"{name}_{start}" / stream
        images.mkdir(parents=True)
        for image in sorted((data / name / source).iterdir())[start : start + FRAMES]:
            (images / image.name).symlink_to(image)
        words += [f"--{stream}", str(images)]
    camera = "262,262,159.5,119.5" if name.endswith("320") else "525,525,319.5,239.5"
    bag = folder / f"{name}_{start}.mcap"
    words += ["--fps", str(FPS), "--intrinsics", camera, *options, "--out", str(bag)]
    assert main(["bag", "from-images", *words]) == 0
    return bag


def _simulated(folder: Path, seed: int, light: str) -> Path:
    bag = folder / f"{light}.mcap"
    words = ["--duration", "1", "--size", "160x120", "--seed", str(seed), "--light", light, "--bag", str(bag)]
    assert main(["dataset", "simulate", *words]) == 0
    return bag
