"""``gemini-ros train fit|test``: LightningCLI over the task and its data."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import yaml
from jsonargparse import get_loader, set_loader
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from gemini_ros.core.documents import one_line, parse_yaml, read_yaml
from gemini_ros.core.model_info import SEGMENT, TASKS, TRANSLATE
from gemini_ros.training.callbacks import CoreTime, EndCheckpoint, StopAtNan, WholeCheckpoints
from gemini_ros.training.data import SegmentationData
from gemini_ros.training.memory import keep_memory
from gemini_ros.training.options import network_options
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.translation import TranslationData, TranslationTask, translation_options
from gemini_ros.training.weights import read_trained, require_fitting


class _Begun(lightning.Callback):
    """True once all of a checkpoint is read and the first batch is next."""

    def __init__(self) -> None:
        self._begun = False

    def __bool__(self) -> bool:
        return self._begun

    def _begin(self, *_: object) -> None:
        self._begun = True

    on_sanity_check_start = on_train_start = on_test_start = _begin


class _Cli(LightningCLI):
    _stored: tuple[dict[str, Any], str] | None = None  # the weights of the checkpoint and its path

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.network.modalities", "data.modalities")
        parser.link_arguments("model.network.label_set", "data.label_set")
        parser.link_arguments("model.network.thermal_kind", "data.augmentation.thermal_kind")

    def _parse_ckpt_path(self) -> None:
        """Refuse a checkpoint of another network; Lightning would replace what was asked for by what the file holds."""
        options = self.config[self.config.subcommand]
        path = options.get("ckpt_path")
        if path is None or not Path(path).is_file():
            return
        stored = read_trained(Path(path), for_lightning=True)
        trained = asdict(network_options(stored["hyper_parameters"], str(path)))
        asked = asdict(network_options({"network": options.model.network.as_dict()}, "model.network"))
        for name, value in trained.items():
            if name != "drop_path" and value != asked[name]:
                raise ValueError(f"{path}: {name} is {value}, the configuration says {asked[name]}")
        self._stored = stored["state_dict"], str(path)

    def before_test(self) -> None:
        """Raise ``ValueError`` where weights by chance would be scored."""
        options = self.config.test
        if options.ckpt_path is None and options.model.weights is None:
            raise ValueError("train test: no checkpoint is given, expected --ckpt_path CHECKPOINT")
        if options.ckpt_path is None:
            start = self.model.start
            if unlike := [*(f"{name} begins anew" for name in start.anew), *start.borrowed]:
                raise ValueError(f"train test: {start.where}: {unlike[0]}, expected all of the weights")
        self._require_fitting()

    def before_fit(self) -> None:
        """Say what is started from. Raise ``ValueError`` where training cannot go on from the checkpoint."""
        self._require_fitting()
        for line in self.model.start.lines() if self.model.start and not self.config.fit.ckpt_path else ():
            rank_zero_info(line)

    def _run_subcommand(self, subcommand: str) -> None:
        """Name the checkpoint where Lightning cannot go on from it: what it reads beside the weights is unchecked."""
        options = self.config[subcommand]
        begun = _Begun()
        self.trainer.callbacks.append(begun)
        try:
            super()._run_subcommand(subcommand)
        except Exception as error:
            if begun or options.get("ckpt_path") is None or isinstance(error, OSError):
                raise
            raise ValueError(
                f"{options.ckpt_path}: {type(error).__name__} on going on from it: {one_line(error)}; start anew "
                "from its weights with --model.weights"
            ) from error

    def _require_fitting(self) -> None:
        if self._stored is not None:
            state, path = self._stored
            require_fitting(state, self.model.state_dict(), path)
            self._stored = None


class _TranslationCli(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.network.modalities", "data.modalities")
        parser.link_arguments("model.network.target", "data.target")

    def _parse_ckpt_path(self) -> None:
        """Refuse a checkpoint of another network; Lightning would replace what was asked for by what the file holds."""
        options = self.config[self.config.subcommand]
        path = options.get("ckpt_path")
        if path is None or not Path(path).is_file():
            return
        stored = read_trained(Path(path), for_lightning=True)["hyper_parameters"]
        if (task := stored.get("task", SEGMENT)) != TRANSLATE:
            raise ValueError(f"{path}: task {task}, the configuration says {TRANSLATE}")
        trained = asdict(translation_options(stored, path))
        asked = asdict(translation_options({"network": options.model.network.as_dict()}, "model.network"))
        for name in ("encoder", "modalities", "target", "fusion"):
            if trained[name] != asked[name]:
                raise ValueError(f"{path}: {name} is {trained[name]}, the configuration says {asked[name]}")

    def before_test(self) -> None:
        """Raise ``ValueError`` where weights by chance would be scored."""
        if self.config.test.ckpt_path is None:
            raise ValueError("train test: no checkpoint is given, expected --ckpt_path CHECKPOINT")


def train(arguments: Sequence[str]) -> None:
    """Run LightningCLI on ``arguments`` (``fit --config ...``). From then on this process keeps memory it has freed."""
    quieten()
    keep_memory()
    _bound_configurations()
    translate = _asked_task(arguments) == TRANSLATE
    cli, task, data = (
        (_TranslationCli, TranslationTask, TranslationData) if translate else (_Cli, SegmentationTask, SegmentationData)
    )
    cli(
        task,
        data,
        args=list(arguments),
        trainer_defaults={
            "callbacks": [CoreTime(), StopAtNan(), EndCheckpoint()],
            # By its name, so that it stands in the configuration that is saved with a run.
            "plugins": [{"class_path": f"{WholeCheckpoints.__module__}.{WholeCheckpoints.__qualname__}"}],
            "enable_model_summary": False,
        },
        save_config_kwargs={"overwrite": True},
    )


def _asked_task(arguments: Sequence[str]) -> str:
    """``model.task`` of the command line, else of its configuration files, else that of a segmenter."""
    found = "segment"
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for option, value in itertools.pairwise(words):
        if option in ("--config", "-c") and Path(value).is_file():
            try:
                read = read_yaml(Path(value))
            except ValueError:  # the command line's own reader says what is wrong
                continue
            model = read.get("model") if isinstance(read, dict) else None
            found = model.get("task", found) if isinstance(model, dict) else found
    for option, value in itertools.pairwise(words):
        found = value if option == "--model.task" else found
    if found not in TASKS:
        raise ValueError(f"model.task {found!r:.80}, expected one of {', '.join(TASKS)}")
    return found


def _bound_configurations() -> None:
    """Let the configuration's own reader see only what ours takes: an alias may stand for any amount of YAML."""
    if getattr(read := get_loader("yaml"), "bounded", False):
        return

    def bounded(text: str) -> Any:
        parse_yaml(text, "configuration")
        return read(text)

    bounded.bounded = True  # type: ignore[attr-defined]
    set_loader("yaml", bounded, (yaml.YAMLError, ValueError))


def quieten() -> None:
    """Leave Lightning's messages to the program's handlers; without advertisements and what it says of itself."""
    logging.getLogger("lightning").handlers.clear()
    told = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    told.addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
