import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the network needs torch")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of what the official network answered (``parity_tiny.npz``, ``parity_swin.npz``)."""
    folder = os.environ.get("GEMINI_ROS_REFERENCE")
    if not folder:
        pytest.skip("GEMINI_ROS_REFERENCE is not set: no recorded answers of the official network here")
    if not Path(folder).is_dir():
        pytest.fail(f"GEMINI_ROS_REFERENCE is {folder}, which is not a folder")
    return Path(folder)
