"""Label images by their stamps: read from a bag, scored against the truth."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import LABEL_SET_TOPIC
from gemini_ros.core.encodings import decode_image, stamp_ns
from gemini_ros.core.frames import FrameError
from gemini_ros.core.metrics import Scores

Labels = npt.NDArray[np.uint8]


class LabelImages(Mapping[int, Labels]):
    """The label images of one topic, uint8 (H, W) by stamp in nanoseconds, in order of receipt; held compressed.

    Of several images with one stamp the first counts. ``classes`` are the names of the numbers, ``None`` where the bag
    does not say (``topics.LABEL_SET_TOPIC``). ``damaged`` says what is wrong with each message that could not
    be read. Raises ``BagError`` for a topic that is not there and a bag that cannot be read.
    """

    def __init__(self, reader: BagReader, topic: str) -> None:
        self._images: dict[int, tuple[bytes, tuple[int, ...]]] = {}
        self.damaged: list[str] = []
        self.classes = self._read_classes(reader)
        for stored in reader.messages([topic]):
            try:
                message = reader.deserialize(stored)
                labels = decode_image(message, "labels")
            except (BagError, FrameError) as error:
                self.damaged.append(f"{topic} at {stored.receipt_ns}: {error}")
                continue
            self._images.setdefault(stamp_ns(message), (zlib.compress(labels.tobytes(), 1), labels.shape))

    def _read_classes(self, reader: BagReader) -> tuple[str, ...] | None:
        message = reader.first(LABEL_SET_TOPIC) if LABEL_SET_TOPIC in reader.topics else None
        if message is None:
            return None
        try:
            classes = json.loads(message.data)["classes"]
            if isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes):
                return tuple(classes)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            pass
        text = getattr(message, "data", "")
        self.damaged.append(f"{LABEL_SET_TOPIC}: {text!s:.80}, expected JSON with the names of the classes")
        return None

    def __getitem__(self, stamp: int) -> Labels:
        data, shape = self._images[stamp]
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)

    def __iter__(self) -> Iterator[int]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def score_labels(labels: Mapping[int, Labels], truth: Mapping[int, Labels], n_classes: int) -> Scores:
    """The scores over all stamps that both have. Raises ``ValueError`` naming the stamp that does not fit."""
    scores = Scores(n_classes)
    for stamp in sorted(labels.keys() & truth.keys()):
        count(scores, stamp, truth[stamp], labels[stamp])
    return scores


def count(scores: Scores, stamp: int, truth: Labels, labels: Labels, confidence: Labels | None = None) -> None:
    """Count one image; ``ValueError`` names the stamp, and the cure where truth is of another label set or size."""
    if truth.shape != labels.shape:
        raise ValueError(
            f"truth at stamp {stamp} ns: {truth.shape[1]}x{truth.shape[0]}, labels "
            f"{labels.shape[1]}x{labels.shape[0]}: expected one size; record the truth on the grid of the images"
        )
    try:
        scores.update(truth, labels, confidence)
    except ValueError as error:
        raise ValueError(f"truth at stamp {stamp} ns: {error}") from error
