"""Engines by TensorRT-RTX, which compiles without a GPU: built once, found again, told from those of other machines.

What runs an engine needs a GPU; the gate has segmenters that run here in its place.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("onnx")

from gemini_ros import cli
from gemini_ros.core.resources import find_model
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.cache import PASSED, PENDING, REJECTED, EngineCache, read_record
from gemini_ros.inference.engines import EngineJob, EngineMissingError, judge, obtain, open_engine
from gemini_ros.inference.gate import golden_path
from gemini_ros.inference.tensorrt.cuda import Gpu
from gemini_ros.inference.tensorrt.library import load_library
from gemini_ros.inference.tensorrt.progress import Progress
from test.inference.small_model import golden_of, small_model

RTX = load_library("tensorrt_rtx")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_model(tmp_path_factory.mktemp("model") / "small.onnx")
    golden_of(path)
    return path


@pytest.fixture
def job(model: Path) -> EngineJob:
    return EngineJob(model, read_model_info(model), (96, 80), RTX, "8.6")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return EngineCache(tmp_path / "engines")


class Told(list[tuple[float, str]]):
    """A listener that keeps what it was told."""

    def __call__(self, share: float, phase: str) -> None:
        self.append((share, phase))

    @property
    def builds(self) -> int:
        return sum(phase == "building: done" for _, phase in self)


def test_built_once_and_found_again(job: EngineJob, cache: EngineCache):
    told = Told()
    built = obtain(job, cache, told)
    assert told.builds == 1
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    again = obtain(job, EngineCache(cache.directory), told)
    assert (again.data, again.record, told.builds) == (built.data, built.record, 1)
    record = built.record
    assert (record.key.library, record.key.version) == ("tensorrt_rtx", RTX.__version__)
    assert record.parity.state == PENDING
    assert record.inputs["rgb"].shape == (1, 80, 96, 3)
    assert len(record.classes) == 10
    assert record.build_s > 0


@pytest.mark.parametrize("change", ["size", "options", "capability", "model"])
def test_another_engine_is_built_for_another_job(job: EngineJob, cache: EngineCache, tmp_path: Path, change: str):
    obtain(job, cache, Told())
    other = {
        "size": {"camera_size": (80, 96)},
        "options": {"options": dataclasses.replace(job.options, workspace_mb=64)},
        "capability": {"compute_capability": "8.9"},
        "model": {"model": small_model(tmp_path / "other.onnx", shift=1)},
    }
    told = Told()
    obtain(dataclasses.replace(job, **other[change]), cache, told)
    assert told.builds == 1
    assert len(cache.entries()) == 2


def test_after_an_update_of_tensorrt_the_engine_is_built_again(job: EngineJob, cache: EngineCache):
    entry = obtain(job, cache, Told()).entry
    assert entry is not None
    older = dataclasses.replace(entry.record.key, version="1.6.0.3")
    cache.prune(lambda _: "made older")
    cache.store(dataclasses.replace(entry.record, key=older), b"an engine of old")
    told = Told()
    with pytest.raises(EngineMissingError, match=r"there is one of tensorrt_rtx 1\.6\.0\.3 on any GPU"):
        obtain(job, cache, told, build=False)
    fresh = obtain(job, cache, told)
    assert told.builds == 1
    assert "there is one of tensorrt_rtx 1.6.0.3" in told[1][1]
    assert fresh.record.key == job.key()
    assert {entry.record.key.version for entry in cache.entries()} == {"1.6.0.3", RTX.__version__}


def test_a_damaged_engine_is_built_again(job: EngineJob, cache: EngineCache):
    entry = obtain(job, cache, Told()).entry
    assert entry is not None
    whole = entry.path.read_bytes()
    entry.path.write_bytes(whole[:5000] + b"\0" + whole[5001:])
    if whole[5000] == 0:
        entry.path.write_bytes(whole[:-1])
    with pytest.raises(EngineMissingError, match="the one there is is damaged"):
        obtain(job, cache, Told(), build=False)
    told = Told()
    assert obtain(job, cache, told).data == entry.path.read_bytes()
    assert told.builds == 1


def test_where_none_is_to_be_built_the_command_that_builds_it_is_told(job: EngineJob, cache: EngineCache):
    with pytest.raises(EngineMissingError) as caught:
        obtain(job, cache, Told(), build=False)
    words = shlex.split(str(caught.value).partition("build it: ")[2])
    assert words[:3] == ["gemini-ros", "engine", "build"]
    args = cli.build_parser().parse_args(words[1:])
    assert (find_model(args.model), args.size, args.cache_dir) == (job.model, job.camera_size, cache.directory)
    assert args.library == "tensorrt_rtx"


def test_of_two_processes_one_builds_and_the_other_takes_its_engine(job: EngineJob, cache: EngineCache):
    code = (
        "import sys, hashlib; from pathlib import Path\n"
        "from gemini_ros.inference.cache import EngineCache\n"
        "from gemini_ros.inference.engines import EngineJob, obtain\n"
        "from gemini_ros.inference import read_model_info\n"
        "from gemini_ros.inference.tensorrt.library import load_library\n"
        "model = Path(sys.argv[1])\n"
        "job = EngineJob(model, read_model_info(model), (96, 80), load_library('tensorrt_rtx'), '8.6')\n"
        "engine = obtain(job, EngineCache(sys.argv[2]), lambda share, phase: print(phase, flush=True))\n"
        "print(hashlib.sha256(engine.data).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, str(job.model), str(cache.directory)]
    with cache.lock():
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
        for process in both:
            assert process.stdout is not None
            while process.stdout.readline() != "waiting for another process that builds an engine\n":
                assert process.poll() is None
    said = [process.communicate(timeout=60)[0].split("\n") for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(lines.count("building: done") for lines in said) == [0, 1]
    assert said[0][-2] == said[1][-2] == obtain(job, cache, Told()).record.engine_sha256
    assert len(cache.entries()) == 1


@pytest.fixture
def replaced(job: EngineJob, tmp_path: Path) -> tuple[EngineJob, Callable[[str], Progress]]:
    """A job whose model file becomes another one when the listener hears of a phase."""
    own = Path(shutil.copy(job.model, tmp_path / "model.onnx"))
    shutil.copy(golden_path(job.model), golden_path(own))
    other = small_model(tmp_path / "other.onnx", shift=1)

    def at_phase(start: str) -> Progress:
        def listen(share: float, phase: str) -> None:
            if phase.startswith(start):
                shutil.copy(other, own)

        return listen

    return dataclasses.replace(job, model=own), at_phase


@pytest.mark.parametrize("at", ["building", "building: parsing", "building: done"])
def test_nothing_is_kept_of_a_file_that_is_replaced_while_it_is_built(
    replaced: tuple[EngineJob, Callable[[str], Progress]], cache: EngineCache, at: str
):
    job, replaced_at = replaced
    with pytest.raises(ModelError, match=r"model\.onnx: the file changed while an engine was built from it"):
        obtain(job, cache, replaced_at(at))
    assert cache.entries() == []


def test_no_verdict_is_kept_on_a_file_that_is_replaced_while_it_is_judged(
    replaced: tuple[EngineJob, Callable[[str], Progress]], cache: EngineCache
):
    job, replaced_at = replaced
    segmenter = load_segmenter(job.model, backend="onnxruntime", camera_size=job.camera_size, threads=1)
    engine = obtain(job, cache, Told())
    with pytest.raises(ModelError, match=r"model\.onnx: the file changed while its engine was compared with it"):
        judge(engine, segmenter, job, cache, replaced_at("comparing"))
    assert [entry.record.parity.state for entry in cache.entries()] == [PENDING]


def test_a_build_that_is_stopped_leaves_nothing_and_frees_the_lock(job: EngineJob, cache: EngineCache):
    def stop(share: float, phase: str) -> None:
        if phase.startswith("building: ") and share > 0.1:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        obtain(job, cache, stop)
    assert [path.name for path in cache.directory.iterdir()] == ["lock"]
    with cache.lock(lambda: pytest.fail("the lock is still held")):
        pass


def test_an_engine_that_no_disk_takes_is_used_all_the_same(job: EngineJob, cache: EngineCache, tmp_path: Path):
    """Once: it is said that it will have to be built again."""
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from gemini_ros.inference.cache import EngineCache\n"
        "from gemini_ros.inference.engines import EngineJob, obtain\n"
        "from gemini_ros.inference import read_model_info\n"
        "from gemini_ros.inference.tensorrt.library import load_library\n"
        "model = Path(sys.argv[1])\n"
        "job = EngineJob(model, read_model_info(model), (96, 80), load_library('tensorrt_rtx'), '8.6')\n"
        "cache = EngineCache(sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "engine = obtain(job, cache, lambda share, phase: None)\n"
        "print(len(engine.data) == engine.record.engine_bytes, engine.entry, engine.note)\n"
    )
    command = [sys.executable, "-c", code, str(job.model), str(cache.directory)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, env=environment, check=True)
    assert done.stdout.startswith("True None the engine is not kept and will be built again: [Errno 27] File too large")
    assert not list(tmp_path.rglob("*.engine"))


def test_pending_becomes_passed_and_is_judged_once_for_each_gpu(job: EngineJob, cache: EngineCache):
    segmenter = load_segmenter(job.model, backend="onnxruntime", camera_size=job.camera_size, threads=1)
    here = dataclasses.replace(job, gpu=Gpu("RTX A2000", (8, 6), False, 6000, "CUDA 12.9"))
    told = Told()
    judged = judge(obtain(job, cache, Told()), segmenter, here, cache, told)
    assert len(told) == 1
    assert (judged.record.parity.state, judged.record.parity.gpu) == (PASSED, "RTX A2000")
    found = obtain(
        here, EngineCache(cache.directory), Told(), build=False
    )  # compiled ahead of time, for any of its kind
    assert found.record.parity == judged.record.parity
    assert judge(found, segmenter, here, cache, told) is found
    other = dataclasses.replace(here, gpu=dataclasses.replace(here.gpu, name="RTX A6000"))
    assert judge(found, segmenter, other, cache, told).record.parity.gpu == "RTX A6000"
    assert len(told) == 2


def test_a_rejected_engine_serves_nobody_and_is_not_built_over_and_over(
    job: EngineJob, cache: EngineCache, tmp_path: Path
):
    damaged = small_model(tmp_path / "damaged.onnx", shift=1)
    segmenter = load_segmenter(damaged, backend="onnxruntime", camera_size=job.camera_size, threads=1)
    judged = judge(obtain(job, cache, Told()), segmenter, job, cache, Told())
    assert judged.entry is not None
    assert judged.entry.path.name.endswith(".engine.rejected")
    assert judged.entry.path.is_file()
    assert read_record(judged.entry.path).parity.state == REJECTED
    told = Told()
    with pytest.raises(ModelError, match=r"rejected: 0\.0000 of the confident labels .* engine prune --cache-dir"):
        open_engine(job, cache, told)
    assert told.builds == 0


def test_an_engine_is_not_taken_without_a_gpu_to_run_it(job: EngineJob, cache: EngineCache, no_gpu):
    """The last of the checks, behind the one that looks for the GPU at the very start."""
    start = time.monotonic()
    with pytest.raises(ModelError, match="no NVIDIA driver"):
        open_engine(job, cache, Told())
    assert time.monotonic() - start < 30
    (entry,) = cache.entries()
    assert entry.record.parity.state == PENDING
