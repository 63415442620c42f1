"""The node ``segmenter``: RGB with depth or thermal images in, labels and a costmap out.

Life cycle: ``configure`` checks the model file and the settings and starts the loader, ``activate`` subscribes; until
the loader is done the mode is ``loading``. An inactive node that was active holds no network: ``deactivate`` gives it
back, and ``activate`` loads it again. With ``autostart`` the node does both itself.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMessage

from gemini_ros.core.files import atomic_path
from gemini_ros.nodes.executor import answer_every_request, checked_clock
from gemini_ros.nodes.process import run
from gemini_ros.nodes.segmenter import bond
from gemini_ros.nodes.segmenter.configured import JOIN_S, Configured
from gemini_ros.nodes.segmenter.diagnostics import diagnostic_array, mode_status
from gemini_ros.nodes.segmenter.live import LivePipeline
from gemini_ros.nodes.segmenter.loading import ModelLoader
from gemini_ros.nodes.segmenter.parameters import declare, plain_values, values_of
from gemini_ros.nodes.segmenter.statuses import Report, mode_report, statistics
from gemini_ros.nodes.segmenter.ticker import Ticker
from gemini_ros.pipeline.settings import Settings, refused_change, settings_from_values
from gemini_ros.pipeline.sync import POLL_NS

_POLL_S = POLL_NS / 1e9
_COSTMAP_S = 0.2
_AGE_S = 0.05
_DIAGNOSTICS_S = 1.0
# replay.launch.py waits for these in the log; the second stands wherever the node has come to nothing.
LOADED = "the model is loaded"
NOT_LOADED = "the model did not load"
WAITS = f"{LOADED} once the first image has come: an engine has to know its size"
"""Whoever waits for the model has to send images now."""

Transition = Callable[["SegmenterNode", LifecycleState], TransitionCallbackReturn]


def _reported(transition: Transition) -> Transition:
    """Report after a transition, and log what it raises: rclpy turns that into ERROR without a word."""

    @functools.wraps(transition)
    def reporting(node: SegmenterNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = transition(node, state)
        except Exception as error:
            starting = f"{NOT_LOADED}: " if transition.__name__ in ("on_configure", "on_activate") else ""
            node.get_logger().error(f"{starting}{transition.__name__}: {type(error).__name__}: {error}")
            raise
        node.publish_diagnostics()
        return result

    return reporting


class SegmenterNode(LifecycleNode):
    """Thin: parameters, transitions and timers; ``LivePipeline`` does the work."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("segmenter", **kwargs)
        answer_every_request(self)
        declare(self, sys.argv)
        self.add_on_set_parameters_callback(self._parameters_changing)
        self._configured: Configured | None = None
        self._pipeline: LivePipeline | None = None
        self._refusal = ""
        self._broken: list[str] = []
        self._said_mode: object = ""
        self._said_loader: ModelLoader | None = None
        self._said_waiting: ModelLoader | None = None
        self._active_timers: list[Any] = []
        self._heartbeat: bond.Heartbeat | None = None
        self._report = Report()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._reporting = threading.Lock()
        self._ticker = Ticker({self._age: _AGE_S, self.publish_diagnostics: _DIAGNOSTICS_S}, self.get_logger())
        self._start = self.create_timer(0.0, self._autostart, clock=self._steady)

    # -- life cycle

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._configured = self._configure(settings_from_values(values_of(self)))
        except (ValueError, OSError) as error:
            self._refusal = str(error)
            self.get_logger().error(f"{NOT_LOADED}, not configured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._refusal = ""
        info = self._configured.info
        self.get_logger().info(
            f"model {self._configured.model_path.name} for {', '.join(info.modality_names)}; licence {info.licence}, "
            f"commercial use: {info.commercial_use}"
        )
        return super().on_configure(state)

    def _configure(self, settings: Settings) -> Configured:
        configured = Configured(self, settings)
        if refusal := configured.refusal():
            configured.close()
            raise ValueError(refusal)
        return configured

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        configured = self._configured
        assert configured is not None
        configured.load()
        self._pipeline = LivePipeline(
            self,
            configured.settings,
            configured.required,
            configured.extras,
            configured.info.ranges,
            configured.segmenter,
            configured.learn_grid,
            configured.costmap,
            configured.poses,
            configured.outputs,
            configured.nav,
            configured.phrases,
            configured.translated,
        )
        self._active_timers = [self.create_timer(_POLL_S, self._poll, clock=self._steady)]
        if (message_type := bond.installed()) is not None:
            self._heartbeat = bond.Heartbeat(self, self._steady, message_type, self._runs)
        return super().on_activate(state)

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_pipeline()
        return super().on_deactivate(state)

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    @_reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_error(state)

    def _autostart(self) -> None:
        self.destroy_timer(self._start)
        if self._build_only:
            self.trigger_configure()
        elif self.get_parameter("use_lifecycle_manager").value:
            self.get_logger().info("waiting for the lifecycle manager")
            if bond.installed() is None:
                self.get_logger().warning(
                    "bond is not installed: the manager needs bond_timeout: 0.0, and watches nothing"
                )
        elif self.get_parameter("autostart").value and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- the process

    @property
    def finished(self) -> bool:
        """With ``engine.build_only``: once the engine is there, or is not going to be."""
        loader = self._configured.loader if self._configured is not None else None
        done = loader is not None and not loader.loading
        return self._build_only and (done or bool(self._refusal))

    @property
    def _build_only(self) -> bool:
        return self.get_parameter("engine.build_only").value

    def last_word(self, why: str) -> None:
        """Before anything else at the end of the process: an unknown map and an ERROR, which need no rendering."""
        self._ticker.stop()
        if self._pipeline is not None:
            self._pipeline.costmap_topic.close()
        status = mode_status("failed", f"the node ends: {why}", {})
        now_ns = self.get_clock().now().nanoseconds
        self._diagnostics.publish(diagnostic_array(self.get_fully_qualified_name(), [status], now_ns))

    def close(self) -> int:
        """Release everything; the exit status: 1 where a message is unaccounted for, or an engine alone was wanted."""
        loaded = self._configured is not None and self._configured.segmenter() is not None
        lacking = self._build_only and not loaded
        if lacking and self._configured is not None and self._configured.loader is not None:
            self.get_logger().error(f"no engine: {self._configured.loader.error or 'interrupted'}")
        self._release()
        return 1 if self._broken or lacking else 0

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """rclpy's; /clock, which rclpy subscribes to by it, is checked first."""
        callback = checked_clock(callback) if msg_type is ClockMessage else callback
        return super().create_subscription(msg_type, topic, callback, *args, **kwargs)

    def destroy_node(self) -> None:
        self._ticker.stop()
        # rclpy leaves the state machine to the garbage collector, and with it the middleware's shared memory.
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def _release(self) -> None:
        self._stop_pipeline()
        if self._configured is not None:
            self._configured.close()
            self._configured = None

    def _stop_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:
            return
        if self._heartbeat is not None:
            self._heartbeat.close()
            self._heartbeat = None
        for timer in self._active_timers:
            self.destroy_timer(timer)
        self._active_timers = []
        pipeline.stop(JOIN_S)
        broken = pipeline.broken_identities()
        for sentence in broken:
            self.get_logger().error(f"counting: {sentence}")
        self._broken += broken
        assert self._configured is not None
        file = self._configured.settings.statistics_file
        if file is not None:
            self._write_statistics(file, pipeline, broken)
        self._configured.unload(pipeline.workers)

    def _write_statistics(self, file: Path, pipeline: LivePipeline, broken: list[str]) -> None:
        try:
            with atomic_path(file) as part:
                text = json.dumps(statistics(pipeline, self._configured, broken), indent=2)
                part.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            self.get_logger().error(f"statistics_file {file}: {error.strerror or error}")

    # -- timers and parameters

    def _poll(self) -> None:
        if self._pipeline is None:
            return
        self._pipeline.poll()
        self._say_once_loaded()
        mode = self._mode()
        if mode != self._said_mode:
            self.publish_diagnostics()

    def _runs(self) -> bool:
        return self._pipeline is not None and not self._pipeline.hangs

    def _say_once_loaded(self) -> None:
        loader = self._configured.loader if self._configured is not None else None
        if loader is not None and loader.waits and loader is not self._said_waiting:
            self._said_waiting = loader
            self.get_logger().info(WAITS)
        if loader is None or loader.loading or loader is self._said_loader:
            return
        self._said_loader = loader
        if loader.segmenter is not None:
            self.get_logger().info(f"{LOADED}, it runs on {loader.segmenter.backend}")
        else:
            self.get_logger().error(f"{NOT_LOADED}: {loader.error}")

    def _mode(self) -> object:
        return mode_report(self._configured, self._pipeline, self._refusal).values["mode"]

    def _age(self) -> None:
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.age(round(_COSTMAP_S * 1e9))

    def publish_diagnostics(self) -> None:
        """Say how things are: every second, and at once after a transition or a change of mode."""
        with self._reporting:
            now_ns = self.get_clock().now().nanoseconds
            statuses = self._report.statuses(self._configured, self._pipeline, self._refusal, now_ns)
            self._said_mode = self._mode()
            self._diagnostics.publish(diagnostic_array(self.get_fully_qualified_name(), statuses, now_ns))

    def _parameters_changing(self, parameters: list[Parameter]) -> SetParametersResult:
        changed, present = plain_values(parameters), values_of(self)
        refusal = refused_change(changed, present if self._configured is not None else None)
        if refusal is None:
            try:
                self._apply(settings_from_values({**present, **changed}))
            except ValueError as error:
                refusal = str(error)
        return SetParametersResult(successful=refusal is None, reason=refusal or "")

    def _apply(self, settings: Settings) -> None:
        configured = self._configured
        if configured is None:
            return
        if settings.costmap != configured.settings.costmap:
            configured.costmap.reconfigure(settings.costmap)
        if self._pipeline is not None:
            self._pipeline.intake.reconfigure(settings.costmap)
            self._pipeline.matcher.reconfigure(
                slop_ns=settings.slop_ns,
                missing_timeout_ns=settings.missing_timeout_ns,
                policy=settings.missing_policy,
            )
        configured.settings = settings


def main(args: list[str] | None = None) -> None:
    """Entry point of the executable ``segmenter``."""
    sys.exit(run(SegmenterNode, args))
