"""All that lives from configuration to clean-up: model, settings, publishers, pose, map, and the loader."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from rclpy.lifecycle import LifecycleNode

from gemini_ros.core import registration
from gemini_ros.core.files import sha256_of
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.resources import find_model
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.inference.load import AUTO
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.nodes.segmenter.clock import NodeTime
from gemini_ros.nodes.segmenter.loading import ModelLoader
from gemini_ros.nodes.segmenter.outputs import Outputs
from gemini_ros.nodes.segmenter.parameters import declare_streams, values_of
from gemini_ros.nodes.segmenter.phrase_topics import PhraseTopics
from gemini_ros.nodes.segmenter.pose import OdometryPose, pose_source
from gemini_ros.nodes.segmenter.translation_topics import TranslationTopics
from gemini_ros.pipeline.answers import PhraseOutputs
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.nav_outputs import NavOutputs, OutputSize
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.settings import (
    Settings,
    label_set_for,
    renamed,
    self_mask_of,
    settings_from_values,
    settings_of_no_stream,
)
from gemini_ros.pipeline.translations import Translations, require_streams

# What a transition may take is 1 s; a library that is not there, or an engine that is not, is known sooner.
_CHECK_S = 0.6
# A process has to be gone 2 s after a signal: what is inside a library by then is left behind.
JOIN_S = 1.0


class Configured:
    """All that lives from configuration to clean-up. Raises ``ValueError`` or ``OSError`` for what cannot work."""

    def __init__(self, node: LifecycleNode, settings: Settings) -> None:
        self.model_path = find_model(settings.model)
        self.info: ModelInfo = read_model_info(self.model_path)
        self.model_sha256 = sha256_of(self.model_path)
        self.required = self.info.modality_names
        translations = Translations(settings)
        self.extras = _extra_streams(self.info, settings.modalities, self.model_path, translations.modalities)
        require_streams(translations, (*self.required, *self.extras))
        taken = tuple(dict.fromkeys((*self.required, *translations.modalities)))
        declare_streams(node, taken)
        self.settings = settings = settings_from_values(values_of(node))
        for sentence in (*renamed(values_of(node)), *settings_of_no_stream(settings, taken)):
            node.get_logger().warning(sentence)
        label_set = label_set_for(self.info, settings)
        self_mask_of(settings)  # refused now, not when the node is activated
        book = PhraseBook(label_set, (*self.required, *self.extras), settings.phrases_file, self.info.language)
        book.start(settings.phrases)
        self.outputs = Outputs(node, label_set, settings)
        self.poses: OdometryPose = pose_source(
            node, settings.costmap_frame, settings.camera_in_base, settings.base_frame, settings.max_speed_mps
        )
        self.costmap = Mapper(settings.costmap, label_set, self.poses, book.roles, NodeTime(node.get_clock()))
        self.phrases = PhraseTopics(node, PhraseOutputs(book, self.costmap), OutputSize(settings.output_size))
        self.nav = NavOutputs(self.costmap, settings)
        self.translated = TranslationTopics(node, translations, self.costmap, settings.depth_scale)
        self.loader: ModelLoader | None = None
        self.load()

    def load(self) -> None:
        """Start to load the model, unless that has happened."""
        if self.loader is None:
            self.loader = ModelLoader(self.model_path, self.model_sha256, self.settings, self._warm_up)

    def _warm_up(self) -> None:
        self.costmap.warm_up()
        self.nav.warm_up()
        registration.warm_up()
        # The segmenter has the other cores.
        self.translated.translations.load(threads=1)

    def learn_grid(self, size: tuple[int, int]) -> None:
        """The first image says how large the grid is, which an engine has to know."""
        if self.loader is not None:
            self.loader.learn_grid(size)

    def unload(self, users: Sequence[threading.Thread] = ()) -> None:
        """Give back the network and the GPU's memory, when the ``users`` have come out of it."""
        loader, self.loader = self.loader, None
        if loader is not None:
            loader.close(JOIN_S, users)
        self.translated.translations.unload()

    def segmenter(self) -> Segmenter | None:
        return self.loader.segmenter if self.loader is not None else None

    def refusal(self) -> str:
        """Why the backend that was asked for cannot be had; empty where another one would do, and while it loads."""
        optional = self.settings.backend in (AUTO, ONNXRUNTIME) and self.settings.engine_build
        return "" if optional or self.loader is None else self.loader.refusal(_CHECK_S)

    def close(self) -> None:
        self.unload()
        self.translated.close()
        self.phrases.close()
        self.poses.close()
        self.outputs.close()


def _extra_streams(
    info: ModelInfo, modalities: tuple[str, ...] | None, model: Path, also: Sequence[str]
) -> tuple[str, ...]:
    """What is subscribed beside the model's own modalities: depth, and what translation models take (``also``).

    Raises ``ValueError`` where the two do not fit.
    """
    taken, beside = info.modality_names, dict.fromkeys(("depth", *also))
    if modalities is None:
        return tuple(name for name in beside if name not in taken)
    if lacking := [name for name in taken if name not in modalities]:
        raise ValueError(
            f"model {model}: takes {', '.join(taken)}, modalities are {', '.join(modalities)}: add "
            f"{', '.join(lacking)}, or choose a model for those there are"
        )
    extras = tuple(name for name in modalities if name not in taken)
    if useless := [name for name in extras if name not in beside]:
        raise ValueError(
            f"model {model}: takes {', '.join(taken)}, modalities are {', '.join(modalities)}: {', '.join(useless)} is "
            "of no use to it; leave it out, or choose a model that takes it"
        )
    return extras
