"""Engines on a real GPU: built, loaded, right, quick, and without a leak."""

from __future__ import annotations

import dataclasses
import resource
import time

import numpy as np
import pytest

from gemini_ros.core.frames import Frame
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.benchmark import benchmark_model
from gemini_ros.inference.gate import CONFIDENT, golden_path, read_golden
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.inference.tensorrt.build import build_engine
from gemini_ros.inference.tensorrt.interface import EngineError
from test.gpu.conftest import NANO

LEAST_AGREEMENT = {"fp32": 0.99, "fp16": 0.95, "int8": 0.95}
# What a driver keeps for itself comes in pieces of this size.
ALLOWED_GROWTH_MB = 16
ROUNDS = 200


def frames_of(info) -> list[Frame]:
    """The golden frames, complete and with each modality missing."""
    complete, _ = read_golden(golden_path(NANO), info)
    return complete + [dataclasses.replace(frame, **{name: None}) for frame in complete for name in info.modality_names]


def test_labels_are_those_of_onnx_runtime(compiled, segmenter, measured):
    reference = OnnxSegmenter(compiled.model, compiled.info, "reference", compiled.camera_size, 1)
    equal = confident = difference = pixels = 0
    for frame in frames_of(compiled.info):
        expected, found = reference.segment(frame), segmenter.segment(frame)
        judged = expected.confidence >= CONFIDENT
        confident += int(judged.sum())
        equal += int((found.labels == expected.labels)[judged].sum())
        difference += int(np.abs(found.confidence.astype(int) - expected.confidence).sum())
        pixels += judged.size
    assert confident > pixels / 10
    measured[f"{compiled.precision} agreement"] = {
        "labels": equal / confident,
        "confidence_difference": difference / pixels,
    }
    assert equal / confident > LEAST_AGREEMENT[compiled.precision]


def test_a_cuda_graph_answers_as_single_launches_do(compiled, segmenter, trt):
    assert segmenter.cuda_graph, "no graph could be captured; the log says why"
    plain = compiled.load(trt, cuda_graph=False)
    assert not plain.cuda_graph
    for frame in frames_of(compiled.info):
        by_graph, one_by_one = segmenter.segment(frame), plain.segment(frame)
        np.testing.assert_array_equal(by_graph.labels, one_by_one.labels)
        np.testing.assert_array_equal(by_graph.confidence, one_by_one.confidence)
    plain.close()


def test_an_answer_is_not_touched_by_the_next(compiled, segmenter):
    first, second = frames_of(compiled.info)[:2]
    kept = segmenter.segment(first)
    labels = kept.labels.copy()
    segmenter.segment(second)
    np.testing.assert_array_equal(kept.labels, labels)


def test_latency(compiled, segmenter, trt, measured):
    frames = frames_of(compiled.info)[:4]
    plain = compiled.load(trt, cuda_graph=False)
    on_cpu = OnnxSegmenter(compiled.model, compiled.info, "reference", compiled.camera_size, 1)
    times = {
        "cuda_graph": network_ms(segmenter, frames, ROUNDS),
        "single_launches": network_ms(plain, frames, ROUNDS),
        "onnxruntime": network_ms(on_cpu, frames, 8),
    }
    plain.close()
    measured[f"{compiled.precision} latency_ms"] = times
    assert times["cuda_graph"]["p50"] < times["onnxruntime"]["p50"]
    assert times["cuda_graph"]["p50"] < 1.2 * times["single_launches"]["p50"]


def network_ms(segmenter, frames, rounds) -> dict[str, float]:
    took = [segmenter.segment(frames[i % len(frames)]).timings_ns["network"] / 1e6 for i in range(rounds + 10)][10:]
    return {"p50": float(np.percentile(took, 50)), "p99": float(np.percentile(took, 99))}


def test_a_thousand_frames_leave_no_memory_taken(compiled, segmenter, measured):
    frame = frames_of(compiled.info)[0]
    for _ in range(50):
        segmenter.segment(frame)
    free_mb, process_kb = segmenter.cuda.free_mb(), resident_kb()
    for _ in range(1000):
        segmenter.segment(frame)
    taken_mb, grown_mb = free_mb - segmenter.cuda.free_mb(), (resident_kb() - process_kb) / 1024
    measured[f"{compiled.precision} growth_mb"] = {"gpu": taken_mb, "process": grown_mb}
    assert taken_mb <= ALLOWED_GROWTH_MB
    assert grown_mb <= ALLOWED_GROWTH_MB


def resident_kb() -> int:
    """What the process holds now; where the kernel doesn't tell, the most it has held."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123 (a file of the kernel)
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_closing_gives_the_memory_back(compiled, trt):
    compiled.load(trt).close()
    probe = compiled.load(trt)
    free_mb = probe.cuda.free_mb()
    for _ in range(5):
        other = compiled.load(trt)
        other.close()
        other.close()
    assert free_mb - probe.cuda.free_mb() <= ALLOWED_GROWTH_MB
    probe.close()


def test_an_engine_for_another_size_or_model_is_refused(compiled, trt):
    other_size = dataclasses.replace(compiled, camera_size=(64, 48))
    with pytest.raises(EngineError, match=r"inputs of the engine: rgb UINT8 .*, expected UINT8 1x48x64x3"):
        other_size.load(trt)
    thermal = read_model_info(NANO.with_name("warehouse_rgbt_nano.onnx"))
    with pytest.raises(EngineError, match="thermal absent"):
        dataclasses.replace(compiled, info=thermal).load(trt)


def test_a_damaged_engine_is_refused(compiled, trt):
    engine = compiled.built.engine
    cut = dataclasses.replace(compiled.built, engine=engine[: len(engine) // 2])
    with pytest.raises(EngineError, match="does not load it"):
        dataclasses.replace(compiled, built=cut).load(trt)


def test_the_timing_cache_makes_the_next_build_quicker(compiled, trt, measured):
    cache = compiled.built.timing_cache
    assert cache

    def seconds(timing_cache):
        start = time.perf_counter()
        build_engine(trt, compiled.model, compiled.info, compiled.camera_size, timing_cache=timing_cache)
        return time.perf_counter() - start

    without, with_cache = seconds(None), seconds(cache)
    measured[f"{compiled.precision} build_s"] = {"without_cache": without, "with_cache": with_cache}
    assert with_cache < without


def test_what_is_no_timing_cache_is_left_aside(compiled, trt):
    built = build_engine(trt, compiled.model, compiled.info, compiled.camera_size, timing_cache=b"no cache" * 10)
    assert built.engine


def test_auto_takes_the_gpu_and_keeps_the_engine(trt, tmp_path, measured):
    frames, _ = read_golden(golden_path(NANO), read_model_info(NANO))
    for run in ("first", "second"):
        start = time.perf_counter()
        segmenter = load_segmenter(NANO, camera_size=frames[0].size, cache_dir=tmp_path)
        measured[f"{run} load_s"] = time.perf_counter() - start
        assert segmenter.backend == "tensorrt", segmenter.reason
        assert segmenter.segment(frames[0]).labels.shape == frames[0].size[::-1]
        segmenter.close()
    assert measured["second load_s"] < measured["first load_s"]
    with pytest.raises(ModelError, match="no engine for"):
        load_segmenter(NANO, camera_size=(64, 48), cache_dir=tmp_path, backend="tensorrt", build=False)


def test_benchmark(trt, tmp_path, measured):
    for size in (None, (640, 480)):
        report = benchmark_model(NANO, backend="tensorrt", camera_size=size, cache_dir=tmp_path)
        measured[f"benchmark {'x'.join(map(str, report['camera_size']))}"] = report
        assert report["gpu"]["cuda_graph"]
        assert report["memory_mb"]["gpu"] >= 0
