"""What the node says of itself: diagnostic_msgs/DiagnosticArray from plain figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from gemini_ros.nodes.messages import time_message

OK, WARN, ERROR = 0, 1, 2


@dataclass(frozen=True)
class Status:
    """One subject: how it is, in one line, and the figures."""

    subject: str
    level: int
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


def diagnostic_array(node_name: str, statuses: Iterable[Status], now_ns: int) -> DiagnosticArray:
    """The message; each status is named ``NODE: SUBJECT``, with the node's namespace, and so is the hardware."""
    node_name = node_name.lstrip("/")
    array = DiagnosticArray()
    array.header.stamp = time_message(now_ns)
    array.status = [
        DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{node_name}: {status.subject}",
            message=status.message,
            hardware_id=node_name,
            values=[KeyValue(key=key, value=_text(value)) for key, value in status.values.items()],
        )
        for status in statuses
    ]
    return array


def mode_status(mode: str, reason: str, values: Mapping[str, object], trouble: str = "", why: str = "") -> Status:
    """``mode`` is ``normal``, ``waiting``, ``loading``, ``inactive``, ``failed`` or ``POLICY:MISSING``.

    ``trouble`` says of streams that live why they count as missing ("does not pair"), and ``why`` what is behind it.
    """
    policy, _, missing = mode.partition(":")
    if mode == "normal":
        return Status("mode", OK, mode, {"mode": mode, **values})
    if missing:
        reason = f"{missing} {trouble or 'is missing'}, policy {policy}" + (f": {why}" if why else "")
    level = ERROR if policy in ("stop", "failed") else WARN
    return Status("mode", level, f"{mode}: {reason}" if not missing else reason, {"mode": mode, **values})


def input_status(
    stream: str,
    counts: Mapping[str, int],
    dropped: Mapping[str, int],
    faults: Sequence[str],
    values: Mapping[str, object],
) -> Status:
    """Counts of one stream: received = in_pairs + singles + dropped + what still waits for its partner."""
    figures = {**counts, **{f"dropped_{cause}": count for cause, count in dropped.items() if count}, **values}
    return Status(f"input {stream}", WARN if faults else OK, "; ".join(faults) or "receiving", figures)


def latency_status(stages: Mapping[str, Mapping[str, float]]) -> Status:
    """p50 and p99 of each stage in milliseconds."""
    figures = {f"{stage}_{name}": f"{value:.2f}" for stage, ms in stages.items() for name, value in ms.items()}
    total = stages.get("total", {})
    return Status("latency", OK, f"total p50 {total['p50']:.1f} ms" if "p50" in total else "no frame yet", figures)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
