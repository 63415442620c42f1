"""Which TensorRT is here, and what is said where there is none, a broken or an unsuitable one."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from gemini_ros.inference.tensorrt.library import LibraryError, check_supported, full_version, load_library

needs_no_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)


@needs_no_tensorrt
def test_absent_is_said_with_what_to_install():
    with pytest.raises(LibraryError, match=r"tensorrt is not installed .*pip install 'gemini_ros\[tensorrt\]'"):
        load_library()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a module ``tensorrt`` of this text."""

    def install(text: str) -> None:
        (tmp_path / "tensorrt").mkdir()
        (tmp_path / "tensorrt" / "__init__.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)

    yield install
    sys.modules.pop("tensorrt", None)


@pytest.mark.parametrize("version", ["8.5.2.2", "10.2.0", "12.0.1"])
def test_versions_that_were_not_written_for_are_refused(installed, version):
    installed(f"__version__ = {version!r}")
    with pytest.raises(LibraryError, match=rf"TensorRT {version}, expected 10\.3 to 11\.x"):
        load_library()


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_versions_from_10_3_to_11_are_taken(installed, version):
    installed(f"__version__ = {version!r}")
    assert full_version(load_library()).startswith(version)


def test_bindings_without_their_library_are_told_from_absent_ones(installed):
    installed("import ctypes; ctypes.CDLL('libnvinfer.so.1000')")
    with pytest.raises(LibraryError, match=r"tensorrt is installed and cannot be loaded: libnvinfer\.so\.1000"):
        load_library()


def test_10_13_is_refused_on_orin_alone():
    with pytest.raises(LibraryError, match=r"10\.13\.3\.9 has no kernels for Jetson Orin .*JetPack 6.*10\.16"):
        check_supported("10.13.3.9", (8, 7))
    check_supported("10.13.3.9", (8, 6))
    check_supported("10.3.0", (8, 7))
    check_supported("10.16.1.11", (8, 7))


@pytest.mark.parametrize("version", ["11.2.1.6", "11.3.0", "11.4.0.106"])
def test_versions_without_jetpack_are_refused_on_a_jetson_alone(version):
    for jetson in ((8, 7), (11, 0)):
        with pytest.raises(LibraryError, match=rf"TensorRT {version} does not support JetPack.*11\.4\.1"):
            check_supported(version, jetson)
        check_supported("11.4.1", jetson)
        check_supported("11.1.0", jetson)
    check_supported(version, (8, 9))
