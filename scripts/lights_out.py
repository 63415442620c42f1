"""Make the moving picture of the README from the bundled bag and the shipped models: python scripts/lights_out.py"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gemini_ros.demo.lights_out import lights_out

ROOT = Path(__file__).parents[1]


def main() -> None:
    models = ROOT / "models"
    with tempfile.TemporaryDirectory() as folder:
        lights_out(
            ROOT / "demo/warehouse.mcap",
            models / "warehouse_rgb_nano.onnx",
            models / "warehouse_rgbd_nano.onnx",
            Path(folder) / "film.mp4",
            ROOT / "docs/lights_out.gif",
        )


if __name__ == "__main__":
    main()
