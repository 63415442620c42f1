"""What the segmenter reports of itself: the statuses of /diagnostics, and the statistics file.

``keys.py`` describes every status and key.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from gemini_ros.inference.cpu import CPU_BACKENDS
from gemini_ros.inference.load import AUTO
from gemini_ros.nodes import transport
from gemini_ros.nodes.segmenter.configured import Configured
from gemini_ros.nodes.segmenter.diagnostics import ERROR, OK, WARN, Status, input_status, latency_status, mode_status
from gemini_ros.nodes.segmenter.inputs import ImageInput
from gemini_ros.nodes.segmenter.live import LivePipeline
from gemini_ros.nodes.segmenter.translation_topics import figures
from gemini_ros.pipeline.nav_outputs import LATE
from gemini_ros.pipeline.statistics import LatencyStatistics, Rates, Speed
from gemini_ros.pipeline.summary import ModeChange, summarise

_RATE_S = 0.5
_LOSS_THAT_MATTERS = 0.01
_MINUTE_S = 60.0


class Report:
    """Gathers the statuses; remembers what rates are reckoned from."""

    def __init__(self) -> None:
        self._rates_hz: dict[str, float] = {}
        self._received: dict[str, int] = {}
        self._at_ns = time.monotonic_ns()
        self._speed = Speed()
        self._minute = LastMinute()

    def statuses(
        self, configured: Configured | None, pipeline: LivePipeline | None, refusal: str, now_ns: int
    ) -> list[Status]:
        """Everything there is to say in the present state; ``refusal`` is why the last configuration failed."""
        statuses = [mode_report(configured, pipeline, refusal)]
        if configured is not None:
            statuses.append(_model(configured, self._rates(configured, pipeline)))
        if configured is not None and pipeline is not None:
            statuses += self._inputs(pipeline, now_ns)
            statuses += [_pipeline(pipeline), self._latency(pipeline), _costmap(configured, pipeline)]
            statuses += [_transport(pipeline), _graph(pipeline), *_phrases(pipeline), *_boxes(pipeline)]
            statuses += _translation(pipeline)
            if (snapshots := pipeline.snapshots) is not None:
                fault = snapshots.fault
                statuses.append(
                    Status("snapshot", WARN if fault else OK, fault or "keeping the inputs", snapshots.figures())
                )
        return statuses

    def _rates(self, configured: Configured, pipeline: LivePipeline | None) -> Rates | None:
        if pipeline is None or configured.segmenter() is None:
            return self._speed.begin()
        counts, now_s = pipeline.matcher.counts, time.monotonic()
        received = [counts[stream].received for stream in pipeline.required]
        return self._speed.note(now_s, pipeline.counters, received, configured.settings.min_rate_hz)

    def _inputs(self, pipeline: LivePipeline, now_ns: int) -> list[Status]:
        self._reckon_rates(pipeline)
        statuses = []
        for stream, counts in pipeline.matcher.counts.items():
            source = pipeline.inputs[stream]
            figures = {
                "topic": source.topic,
                "rate_hz": self._rates_hz.get(stream, 0.0),
                "age_s": source.silent_for_s(),
                "waiting": pipeline.matcher.buffered[stream],
            }
            if taken := [text for text in pipeline.assumptions() if text.startswith(f"{stream}:")]:
                figures["grid"] = taken[0]
            if source.images.copies is not None:
                figures["copies"] = source.images.copies
            if source.last_stamp_ns is not None:
                figures["stamp_age_s"] = (now_ns - source.last_stamp_ns) / 1e9
            totals = {"received": counts.received, "in_pairs": counts.in_pairs, "singles": counts.singles}
            faults = _input_faults(source, pipeline.camera_fault(stream))
            if unpaired := pipeline.matcher.unpaired.get(stream):
                figures["nearest_ms"] = unpaired.nearest_ns / 1e6
                faults.append(str(unpaired))
            statuses.append(input_status(stream, totals, counts.dropped, faults, figures))
        return statuses

    def _latency(self, pipeline: LivePipeline) -> Status:
        latencies = pipeline.latencies
        minute = self._minute.overhead(latencies)
        stages = {**latencies.to_dict(), "overhead": latencies.overhead(), "overhead_last_minute": minute}
        return latency_status(
            {stage: {name: ms for name, ms in of.items() if ms is not None} for stage, of in stages.items()}
        )

    def _reckon_rates(self, pipeline: LivePipeline) -> None:
        """Over the time since the last reckoning; a report out of turn keeps the rates there are."""
        elapsed_s = (time.monotonic_ns() - self._at_ns) / 1e9
        if elapsed_s < _RATE_S:
            return
        received = {stream: counts.received for stream, counts in pipeline.matcher.counts.items()}
        self._rates_hz = {
            stream: max(count - self._received.get(stream, 0), 0) / elapsed_s for stream, count in received.items()
        }
        self._received, self._at_ns = received, time.monotonic_ns()


class LastMinute:
    """The overhead of the last whole minute; that of the whole run hides a drift."""

    def __init__(self) -> None:
        self._latencies: LatencyStatistics | None = None

    def overhead(self, latencies: LatencyStatistics) -> dict[str, float]:
        """``{"p50": ms, "p99": ms}``; empty before a minute is over, or where it brought no frame."""
        now = time.monotonic()
        if latencies is not self._latencies:
            self._latencies, self._at, self._start, self._found = latencies, now, latencies.histogram("overhead"), {}
        if now - self._at >= _MINUTE_S:
            end = latencies.histogram("overhead")
            minute = end.since(self._start)
            self._found = {f"p{q}": 1e-6 * minute.quantile(q / 100) for q in (50, 99)} if minute.count else {}
            self._at, self._start = now, end
        return self._found


def statistics(pipeline: LivePipeline, configured: Configured | None, broken: list[str]) -> dict[str, Any]:
    """The statistics file: what a node knows of ``summary.json``, the broken ``identities``, and losses."""
    summary = summarise(
        streams=pipeline.matcher.counts,
        counters=pipeline.counters,
        latencies=pipeline.latencies,
        backend=_backend(configured),
        mode_changes=[ModeChange(at_ns / 1e9, mode) for at_ns, mode in pipeline.matcher.mode_changes],
        model_sha256=configured.model_sha256 if configured is not None else "",
        notes=pipeline.frames.notes(),
        unused=pipeline.frames.unused(pipeline.required),
    )
    return {
        **summary.to_dict(),
        "identities": broken,
        "lost_in_transport": {stream: source.lost_in_transport for stream, source in pipeline.inputs.items()},
    }


def _backend(configured: Configured | None) -> str:
    segmenter = configured.segmenter() if configured is not None else None
    return segmenter.backend if segmenter is not None else ""


def mode_report(configured: Configured | None, pipeline: LivePipeline | None, refusal: str) -> Status:
    """The mode, the one thing that is always said."""
    if configured is None:
        mode = "failed" if refusal else "inactive"
        return mode_status(mode, refusal or "not configured", {})
    loader = configured.loader
    figures: dict[str, object] = {"policy": configured.settings.missing_policy}
    if loader is not None and loader.error:
        return mode_status("failed", loader.error, figures)
    if loader is not None and loader.loading:
        share, phase = loader.progress
        figures |= {"loading_s": loader.elapsed_s, "loading_percent": round(100 * share), "loading_phase": phase}
        text = f"the model has been loading for {loader.elapsed_s:.0f} s: {phase}, {100 * share:.0f} %"
        return mode_status("loading", text, figures)
    if pipeline is None:
        return mode_status("inactive", "configured, not active", figures)
    mode = pipeline.matcher.mode
    return mode_status(mode, "not every modality has come yet", figures, *_trouble(pipeline, mode))


def _trouble(pipeline: LivePipeline, mode: str) -> tuple[str, str]:
    """What is wrong with the streams that the mode names, other than that they are missing, and why; else empty."""
    streams = mode.partition(":")[2].split("+")
    if pipeline.matcher.failing:
        return "become no labels", pipeline.worker_fault
    if unpaired := [str(pair) for stream, pair in pipeline.matcher.unpaired.items() if stream in streams]:
        return "does not pair", "; ".join(unpaired)
    living = [pipeline.inputs[stream] for stream in streams if stream in pipeline.inputs]
    blind = [source.images.blind for source in living if source.images.blind and not source.silent]
    return ("is blind", "; ".join(blind)) if blind else ("", "")


def _model(configured: Configured, rates_hz: Rates | None) -> Status:
    """What runs the model: a fallback is a warning for as long as it lasts, too few frames a second are an error."""
    info, segmenter = configured.info, configured.segmenter()
    figures = {
        "file": configured.model_path,
        "modalities": ", ".join(info.modality_names),
        "licence": info.licence,
        "commercial_use": info.commercial_use,
    }
    if configured.loader is None:
        return Status("model", OK, "not loaded while the node is inactive", figures)
    if configured.loader.error:
        return Status("model", ERROR, configured.loader.error, figures)
    if segmenter is None:
        return Status("model", WARN, "loading", figures)
    figures |= {"backend": segmenter.backend, "reason": segmenter.reason}
    fallback = configured.settings.backend == AUTO and segmenter.backend in CPU_BACKENDS
    message = f"runs on {segmenter.backend}{f': {segmenter.reason}' if fallback else ''}"
    least_hz = configured.settings.min_rate_hz
    if rates_hz is not None:
        figures["segmented_hz"] = rates_hz.segmented
        if rates_hz.segmented < least_hz <= max(rates_hz.offered, rates_hz.brought):
            slow = f"{rates_hz.segmented:.1f} frames per second, expected min_rate_hz {least_hz:g}"
            if rates_hz.offered < least_hz:
                slow += f" (every camera brings {rates_hz.brought:.1f}, but few make a frame: see mode and inputs)"
            return Status("model", ERROR, f"{slow}: {message}", figures)
    return Status("model", WARN if fallback else OK, message, figures)


def _input_faults(source: ImageInput, camera_fault: str) -> list[str]:
    faults = [*source.recent_errors(), camera_fault]
    if source.silent:
        faults.insert(0, f"nothing on {source.topic} for {source.silent_for_s():.0f} s")
        return [fault for fault in faults if fault]
    if source.images.grid_fault:
        faults.append(source.images.grid_fault)
    if warning := source.images.image_warning:
        faults.append(f"{source.images.name}: {warning}")
    return [fault for fault in faults if fault]


def _pipeline(pipeline: LivePipeline) -> Status:
    fault, figures = pipeline.worker_fault, dataclasses.asdict(pipeline.counters)
    if hangs := pipeline.hangs:
        return Status("pipeline", ERROR, f"it hangs: {hangs}", figures)
    return Status("pipeline", WARN if fault else OK, fault or "running", figures)


def _costmap(configured: Configured, pipeline: LivePipeline) -> Status:
    costmap = configured.costmap
    known, said = costmap.status(pipeline.now())
    faults = [said] if said else []
    if pipeline.costmap_topic.clock_stands:
        known = False
        faults.insert(0, "/clock brings nothing new: start what publishes it again, or set use_sim_time to false")
    living = [source for source in pipeline.inputs.values() if source.last_receipt_ns and not source.silent]
    behind_s = min((source.last_lag_ns / 1e9 for source in living), key=abs, default=0.0)
    if behind_s > configured.settings.costmap.timeout_s:  # the map itself says of those ahead
        faults.insert(
            0,
            f"the stamps of the images are {behind_s:.3g} s behind the node's clock: play a bag with --clock and set "
            "use_sim_time, or synchronise the clocks of the machines",
        )
    if late := pipeline.nav.silence.startswith(LATE) and pipeline.nav.silence:
        faults.append(f"no clouds and no scan: {late}")
    unknown = "" if known and not costmap.fault else "unknown: "
    figures = {"frame": costmap.frame, "published": pipeline.counters.costmaps_published, "geometry": costmap.geometry}
    return Status("costmap", WARN if faults else OK, unknown + "; ".join(faults) or "mapping", figures)


def _phrases(pipeline: LivePipeline) -> list[Status]:
    """What is in force, as long as anything is or was refused: a robot that is told something must not overhear it."""
    phrases, book = pipeline.phrases.phrases, pipeline.phrases.phrases.book
    entries, refused = book.in_force(pipeline.now()), book.refused
    faults = [book.fault] if book.fault else [f"not in force: {refused.why}"] if refused else []
    faults += [text for text in (phrases.silence, *(phrases.lost if not phrases.silence else ())) if text and entries]
    if not entries and not faults:
        return []
    figures = {f"phrase_{entry.number}": f"{entry.role} {entry.text}" for entry in entries}
    return [Status("phrases", WARN if faults else OK, "; ".join(faults) or f"{len(entries)} in force", figures)]


def _boxes(pipeline: LivePipeline) -> list[Status]:
    if (detector := pipeline.detector) is None:
        return []
    found, silence = detector.found, detector.silence
    figures = {} if found is None else {"boxes": len(found.boxes)}
    return [Status("boxes", WARN if silence else OK, silence or "looking", figures)]


def _translation(pipeline: LivePipeline) -> list[Status]:
    """What translation models make, where any is named."""
    topics = pipeline.translated
    if not topics.translations.paths:
        return []
    silence = "; ".join(text for text in topics.translations.silence.values() if text)
    said = f"making {', '.join(topics.wanted)}" if topics.wanted else "nobody subscribes"
    return [Status("translation", WARN if silence else OK, silence or said, figures(topics))]


def _graph(pipeline: LivePipeline) -> Status:
    faults = pipeline.duplicates()
    return Status("graph", WARN if faults else OK, "; ".join(faults) or "at most one publisher on each input")


def _transport(pipeline: LivePipeline) -> Status:
    faults, figures = [], {}
    for stream, source in pipeline.inputs.items():
        received, lost = pipeline.matcher.counts[stream].received, source.lost_in_transport
        figures[f"lost_in_transport_{stream}"] = lost
        figures[f"stamp_gaps_{stream}"] = source.gaps.lost
        if source.gaps.period_ns is not None:
            figures[f"period_ms_{stream}"] = source.gaps.period_ns / 1e6
        if lost > _LOSS_THAT_MATTERS * (received + lost):
            faults.append(transport.loss_message(stream, lost, received, source.transport))
        elif not received and source.silent and source.publisher_count():
            faults.append(
                f"{stream}: {source.topic} has a publisher, but nothing arrives. If it is sending: "
                f"{transport.cure(source.transport)}"
            )
    return Status("transport", WARN if faults else OK, "; ".join(faults) or "nothing lost", figures)
