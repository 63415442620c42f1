"""Image to image beside the segmenter: completed depth for the map and for a topic, and the night view for people.

The models are those of the settings ``depth_completed.model`` and ``night_view.model``. Each takes a frame only where
all of its images are there: what it makes of fewer was never judged.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.documents import one_line
from gemini_ros.core.files import sha256_of
from gemini_ros.core.frames import UNLABELLED, Frame, Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.overlay import synthetic
from gemini_ros.core.resources import find_model
from gemini_ros.inference.translator import Translation, Translator, read_translation_info
from gemini_ros.pipeline.settings import Settings, translation_setting

DEPTH_COMPLETED, NIGHT_VIEW = "depth_completed", "night_view"
TARGETS = {DEPTH_COMPLETED: "depth", NIGHT_VIEW: "rgb"}
"""What the outputs are made by: a model of this target."""


class Translations:
    """The translation models that ``settings`` name, by what they make; ``load`` opens them.

    ``silence`` is why the last frame gave an output nothing, by output. One thread at a time for each output. Raises
    ``ValueError`` or ``OSError`` for a file that is no such model.
    """

    def __init__(self, settings: Settings) -> None:
        self.paths: dict[str, Path] = {}
        self.infos: dict[str, ModelInfo] = {}
        self._sha256: dict[str, str] = {}
        for output, target in TARGETS.items():
            name = translation_setting(output)
            if not (text := settings.translations.get(output)):
                continue
            try:
                self.paths[output] = find_model(text)
                self.infos[output] = read_translation_info(self.paths[output], target)
                self._sha256[output] = sha256_of(self.paths[output])
            except (ValueError, OSError) as error:
                raise ValueError(f"{name}: {error}") from error
        self.silence = dict.fromkeys(self.paths, "")  # all keys from the start: other threads walk through it
        self.made = dict.fromkeys(self.paths, 0)
        self.took_ms: dict[str, float] = {}
        self._translators: dict[str, Translator] = {}

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that the models take."""
        return tuple(dict.fromkeys(name for info in self.infos.values() for name in info.modality_names))

    def load(self, threads: int | None = None) -> None:
        """Open the models. Raises ``ValueError`` for one that ONNX Runtime cannot run, or that has changed since."""
        for output, path in self.paths.items():
            name = translation_setting(output)
            try:
                translator = Translator(path, TARGETS[output], threads)
                if sha256_of(path) != self._sha256[output]:
                    raise ValueError(f"model {path}: the file has changed since it was named; configure anew")
            except (ValueError, OSError) as error:
                raise ValueError(f"{name}: {error}") from error
            self._translators[output] = translator

    def unload(self) -> None:
        """Give the networks back."""
        self._translators = {}

    def completed(self, frame: Frame, segmentation: Segmentation) -> CompletedDepth | None:
        """The frame's depth without holes; ``None`` where there is none to be had.

        What was measured stays as it is, with full confidence. The robot itself, where labels are 255, stays a hole.
        """
        made = self._made(DEPTH_COMPLETED, frame)
        if made is None:
            return None
        own = segmentation.labels == UNLABELLED
        return CompletedDepth(
            np.where(own, np.float32(np.nan), made.image), np.where(own, np.uint8(0), made.confidence)
        )

    def night_view(self, frame: Frame) -> npt.NDArray[np.uint8] | None:
        """The frame as by day, uint8 (H, W, 3), marked as synthetic; ``None`` where there is none to be had."""
        made = self._made(NIGHT_VIEW, frame)
        return None if made is None else synthetic(np.asarray(made.image, np.uint8))

    def _made(self, output: str, frame: Frame) -> Translation | None:
        translator: Any = self._translators.get(output)
        if translator is None:
            return None
        if lacking := [name for name in self.infos[output].modality_names if frame.image(name) is None]:
            self.silence[output] = f"no {output}: the frame has no {' and no '.join(lacking)}, which its model takes"
            return None
        start_ns = time.monotonic_ns()
        try:
            made = translator.translate(frame)
        except Exception as error:  # noqa: BLE001 (a backend may raise anything; the next frame may be good)
            self.silence[output] = f"no {output}: {type(error).__name__}: {one_line(error)}"
            return None
        self.took_ms[output] = (time.monotonic_ns() - start_ns) / 1e6
        self.silence[output] = ""
        self.made[output] += 1
        return made


def sure_depth(completed: CompletedDepth, least: int) -> npt.NDArray[np.float32]:
    """Completed depth (H, W) in metres as it is published: NaN where its confidence is below ``least`` of 255."""
    return np.where(completed.confidence >= least, completed.depth, np.float32(np.nan))


def require_streams(translations: Translations, streams: Sequence[str]) -> None:
    """Raise ``ValueError`` where a model takes an image that is not among ``streams``."""
    for output, info in translations.infos.items():
        if lacking := [name for name in info.modality_names if name not in streams]:
            raise ValueError(
                f"{translation_setting(output)}: {translations.paths[output]} takes {', '.join(info.modality_names)}; "
                f"modalities are {', '.join(streams)}: add {', '.join(lacking)} to modalities, or name another model"
            )
