"""From a model file of fp32 to one of fp16 or INT8, with proof on real frames that little is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from gemini_ros.core.files import atomic_path
from gemini_ros.core.model_info import METADATA_KEY, SEGMENT, ModelInfo
from gemini_ros.core.onnx_file import with_graph_hash
from gemini_ros.datasets.examples import Example, Source, read_examples
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.inference.gate import golden_path, read_golden, write_golden
from gemini_ros.inference.segmenter import absent_image
from gemini_ros.precision.compare import Comparison, compare, under_conditions
from gemini_ros.precision.fp16 import to_fp16, with_fp16_rounded
from gemini_ros.precision.graph import load_plain
from gemini_ros.precision.int8 import to_int8
from gemini_ros.precision.ranges import Feeds, largest_values

# fp16 ends at 65504; what comes as near to it as this on some frame may pass it on another.
_LARGEST = float(np.finfo(np.float16).max) / 8


@dataclass(frozen=True)
class Limits:
    """Most that may be lost, in points of mIoU; least of the confident labels that must be equal, in percent."""

    miou_loss: float
    confident_agreement: float


CALIBRATION_FRAMES = 32
LIMITS = {"fp16": Limits(0.2, 99.0), "int8": Limits(1.0, 95.0)}


@dataclass(frozen=True)
class Conversion:
    """The model file that was written, and what it loses against its source in each condition."""

    path: Path
    file_bytes: int
    comparisons: tuple[Comparison, ...]

    def lines(self) -> list[str]:
        """A line for each condition, then the file."""
        return [*map(str, self.comparisons), f"wrote {self.path}, {self.file_bytes / 1e6:.1f} MB"]


def convert_model(
    source: Path, out: Path, precision: str, *, calibration: Source, check: Source, keep: Collection[str] = ()
) -> Conversion:
    """Write the model file ``source`` to ``out`` in ``precision`` (``fp16`` or ``int8``), and its golden file.

    ``calibration`` are frames on which the range of every value is measured, ``check`` those on which the two files
    are compared; ``keep`` names values whose nodes stay fp32 (fp16 in an INT8 file). The metadata says the precision
    under ``architecture``; the golden file has the frames of that of ``source`` with the new file's answers.

    Raises ``ValueError`` and writes nothing if the new file loses more than ``LIMITS`` in any condition, and for a name
    in ``keep`` that no node of the model gives.
    """
    info = read_model_info(source)
    if (current := info.architecture.get("precision", "fp32")) != "fp32":
        raise ValueError(f"{source}: already of {current}; expected a model file of fp32")
    if info.task != SEGMENT:
        raise ValueError(
            f"{source}: task {info.task}, which no lower precision was measured with; expected one of task {SEGMENT}"
        )
    if info.language is not None:
        raise ValueError(f"{source}: takes phrases, which no lower precision was measured with; expected a plain model")
    if info.instances is not None:
        raise ValueError(
            f"{source}: tells things apart, which no lower precision was measured with; expected a plain model"
        )
    frames, _ = read_golden(golden_path(source), info)
    model = load_plain(source)
    require_known(model, keep, str(source))
    info = replace(info, architecture={**info.architecture, "precision": precision})
    measured, judged = (read_examples(of, info.modality_names, info.label_set) for of in (calibration, check))
    model = converted(model, info, list(measured), keep)
    comparisons = losses(source, model, judged)
    require_within(LIMITS[precision], comparisons, str(out))
    data = with_graph_hash(model, METADATA_KEY)
    with atomic_path(out) as part:
        part.write_bytes(data)
        with closing(load_segmenter(part, backend="onnxruntime")) as segmenter:
            write_golden(golden_path(out), frames, [segmenter.segment(frame) for frame in frames])
    return Conversion(out, len(data), tuple(comparisons))


def require_known(model: ModelProto, keep: Collection[str], where: str) -> None:
    """Raise ``ValueError`` for a name in ``keep`` that is no output of a node of ``model``, with the nearest one."""
    given = {name for node in model.graph.node for name in node.output}
    for name in keep:
        if name not in given:
            near = get_close_matches(name, given, 1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise ValueError(f"{where}: no node gives a value {name!r:.80}, which was to be kept{hint}")


def losses(
    source: Path, model: ModelProto, examples: Iterable[Example], threads: int | None = None
) -> list[Comparison]:
    """Compare the file ``source`` with ``model``, rounding all that ``model`` has in fp16."""
    with tempfile.TemporaryDirectory() as folder:
        rounded = Path(folder) / source.name
        rounded.write_bytes(with_fp16_rounded(model).SerializeToString())
        with (
            closing(load_segmenter(source, backend="onnxruntime", threads=threads)) as reference,
            closing(load_segmenter(rounded, backend="onnxruntime", threads=threads)) as other,
        ):
            return compare(reference, other, examples)


def require_within(limits: Limits, comparisons: Iterable[Comparison], where: str) -> None:
    """Raise ``ValueError`` if more is lost than ``limits`` in any of the conditions."""
    for found in comparisons:
        if not within(limits, found):
            raise ValueError(
                f"{where}: {found}; expected a loss of at most {limits.miou_loss} points, and "
                f"{limits.confident_agreement} % of confident labels equal: keep what loses most in fp32"
            )


def within(limits: Limits, found: Comparison) -> bool:
    """Whether a comparison is within the limits."""
    return found.miou_loss <= limits.miou_loss and found.confident_agreement >= limits.confident_agreement


def converted(model: ModelProto, info: ModelInfo, examples: list[Example], keep: Collection[str] = ()) -> ModelProto:
    """The plain ``model`` in the precision that ``info`` names, with ``info`` as its metadata."""
    largest = largest_values(model, feeds(info, examples))
    overflowing = {name for name, value in largest.items() if not value <= _LARGEST}
    if info.architecture["precision"] == "int8":
        result = to_fp16(to_int8(model, largest, keep), too_large=overflowing)
    else:
        result = to_fp16(model, keep, overflowing)
    onnx.helper.set_model_props(result, {METADATA_KEY: info.to_json()})
    onnx.checker.check_model(result, full_check=True)
    return result


def feeds(info: ModelInfo, examples: Iterable[Example]) -> Iterator[Feeds]:
    """Inputs of the graph for each frame, complete and with each of several modalities missing."""
    for example in examples:
        for _, frame in under_conditions(example.frame, info.modality_names):
            found = {name: frame.image(name) for name in info.modality_names}
            images = {
                name: absent_image(name, *frame.size) if image is None else np.ascontiguousarray(image)[None]
                for name, image in found.items()
            }
            present = [image is not None for image in found.values()]
            yield images | {"present": np.array(present, np.float32)}
