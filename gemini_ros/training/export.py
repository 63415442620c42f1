"""From a checkpoint to a model file, with proof on real frames that both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from gemini_ros.core.documents import one_line, read_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import TRANSLATE, Calibration, ModelInfo
from gemini_ros.core.phrase_maps import PhraseInputs
from gemini_ros.core.resources import WEIGHTS_SUFFIX
from gemini_ros.datasets.examples import Source, read_examples
from gemini_ros.datasets.folder import SIMULATED
from gemini_ros.datasets.layout import Layout, load_layout
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.gate import asked_of, golden_path, write_golden
from gemini_ros.inference.translator import LARGEST_DIFFERENCE, Translation, Translator
from gemini_ros.inference.translator import write_golden as write_translated
from gemini_ros.network.checkpoint import read_checkpoint
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.export import write_model_file
from gemini_ros.network.instances import InstanceHead
from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.translation import TranslationFile
from gemini_ros.network.weights_file import write_weights
from gemini_ros.training.options import layout_name, network_options
from gemini_ros.training.start import load_weights, trained_classes
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.temperature import read_temperature
from gemini_ros.training.translation import TranslationTask, translation_options
from gemini_ros.training.weights import read_trained, require_fitting

GOLDEN_FRAMES = 4
SMALLEST_AGREEMENT = 0.999
# The file stores weights as fp16: closer than this, in standard deviations of the logits, either label is right.
UNDECIDED = 0.01
LICENCE = "Apache-2.0; trained from scratch on data made by this package's simulator"
DATA_LABELS = "warehouse"  # of the pairs that translation learns from
SIMULATION = "gemini-ros dataset simulate"  # the source that layouts of simulated data name
DATA_LICENCE = "trained on data whose terms hold: {}"
IMAGENET_LICENCE = (
    "started from {} of others, trained on ImageNet: the licence of those weights (NVIDIA's for MiT is non-commercial) "
    "and the terms of ImageNet (non-commercial research)"
)


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    frames: Path,
    size: tuple[int, int] | None = None,
    scores: Path | None = None,
    calibration: Path | None = None,
    stacked: bool = False,
    layout: str | None = None,
) -> ModelInfo:
    """Write ``out``, its golden file (four frames of ``frames`` with their outputs), and its weights to start from.

    ``frames`` is a folder of ``layout``, by default the one that was trained on, or a bag. ``size`` is the network's
    (width, height), by default that of the frames, since a training of crops has no size of its own; ``calibration``
    holds the temperature of the file's confidence; ``stacked`` takes the form for a GPU. Returns what the file says of
    itself. Raises ``ValueError`` and writes nothing if the file and the checkpoint do not agree (``write_checked``).
    """
    if read_trained(checkpoint)["hyper_parameters"].get("task") == TRANSLATE:
        if calibration:
            raise ValueError(f"{calibration}: a model of task {TRANSLATE} has no temperature, leave it out")
        if layout:
            raise ValueError(f"layout {layout}: a model of task {TRANSLATE} learns from {SIMULATED}, leave it out")
        return export_translation(checkpoint, out, frames=frames, size=size, scores=scores, stacked=stacked)
    temperature, errors = read_temperature(calibration) if calibration else (None, {})
    task = load_task(checkpoint)
    images = load_layout(layout) if layout else layout_of(checkpoint)
    golden = golden_frames(frames, task.network.modalities, images)
    sources = task.sources or [images.source]
    licence, commercial_use = licence_of(task, sources)
    chosen = network_options(task.hparams, str(checkpoint))
    info = ModelInfo(
        label_set=task.labels,
        modalities=task.modalities,
        network_size=size or golden[0].size,
        architecture={
            "name": "GeminiFusion",
            "encoder": chosen.encoder,
            "fusion": chosen.fusion,
            **({"form": "stacked"} if stacked else {}),
        },
        training_data="; ".join(sources),
        scores=_short_scores(scores) | ({"calibration error": errors} if calibration else {}),
        licence=licence,
        commercial_use=commercial_use,
        calibration=None if temperature is None else Calibration(temperature),
    )
    write_checked(task.network, info, out, golden, stacked)
    write_weights(task.network, info, out.with_suffix(WEIGHTS_SUFFIX), sources, task.imagenet)
    return info


def export_translation(
    checkpoint: Path,
    out: Path,
    *,
    frames: Path,
    size: tuple[int, int] | None = None,
    scores: Path | None = None,
    stacked: bool = False,
) -> ModelInfo:
    """As ``export_checkpoint``, of a checkpoint of the task ``translate``."""
    task = load_translation(checkpoint)
    golden = golden_frames(frames, task.options.modalities)
    sources = task.sources or [SIMULATION]
    licence, commercial_use = licence_terms(None, sources)
    info = ModelInfo(
        label_set=load_label_set(DATA_LABELS),
        modalities=task.modalities,
        network_size=size or golden[0].size,
        architecture={
            "name": "GeminiFusion",
            "encoder": task.options.encoder,
            "fusion": task.options.fusion,
            **({"form": "stacked"} if stacked else {}),
        },
        training_data="; ".join(sources),
        scores=_translation_scores(scores),
        licence=licence,
        commercial_use=commercial_use,
        task=TRANSLATE,
        target=task.target,
    )
    graph = TranslationFile(task.network, info.modalities, info.network_size, task.target).eval()
    with atomic_path(out) as part:
        write_model_file(task.network, info, part, stacked=stacked)
        translator = Translator(part)
        results = [translator.answer(frame) for frame in golden]
        # numpy's maximum keeps NaN, which Python's may pass over.
        off = np.max([_off(graph, info, frame, result) for frame, result in zip(golden, results, strict=True)])
        if not off <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"{out}: differs from the network by {off:.4f} of the range, expected at most {LARGEST_DIFFERENCE}"
            )
        write_translated(golden_path(out), golden, results)
    write_weights(task.network, info, out.with_suffix(WEIGHTS_SUFFIX), sources)
    return info


def load_translation(checkpoint: Path) -> TranslationTask:
    """The task of a checkpoint of ``translate``, in evaluation mode. Raises ``ValueError`` for another one."""
    data = read_trained(checkpoint)
    task = TranslationTask(translation_options(data["hyper_parameters"], str(checkpoint)))
    require_fitting(data["state_dict"], task.state_dict(), str(checkpoint))
    task.load_state_dict(data["state_dict"])
    task.on_load_checkpoint(data)
    return task.eval()


def _off(graph: TranslationFile, info: ModelInfo, frame: Frame, result: Translation) -> float:
    """The mean difference between the file and the network, of the target's range."""
    images = [torch.from_numpy(np.ascontiguousarray(frame.images()[name]))[None] for name in info.modality_names]
    with torch.inference_mode():
        made, _ = graph(*images, torch.ones(len(images)))
    low, high = graph.target.range
    return float(np.abs(made[0].numpy().astype(np.float64) - result.image).mean()) / (high - low)


def write_checked(
    network: FusionSegmenter,
    info: ModelInfo,
    out: Path,
    frames: list[Frame],
    stacked: bool = False,
    *,
    language: LanguageBranch | None = None,
    phrases: Sequence[PhraseInputs] = (),
    instances: InstanceHead | None = None,
) -> None:
    """Write ``out`` and its golden file: ``frames`` with what the file says about them.

    With a ``language`` branch the golden file also holds the sets of ``phrases``, in turn one for each frame; with a
    head for ``instances``, its maps.

    ``network`` is in evaluation mode. Raises ``ValueError`` and writes nothing if file and network give different
    labels to more than 0.1 % of a frame's pixels, those aside where two labels are as good as equal to the network.
    """
    with atomic_path(out) as part:
        write_model_file(network, info, part, stacked=stacked, language=language, instances=instances)
        with closing(load_segmenter(part, backend="onnxruntime")) as segmenter:
            results = [segmenter.segment(frame, asked_of(phrases, index)) for index, frame in enumerate(frames)]
        graph = ModelFile(network, info.modalities, info.network_size).eval()
        if (share := _agreement(graph, info.modality_names, frames, results)) < SMALLEST_AGREEMENT:
            raise ValueError(f"{out}: {share:.4f} of the labels agree with the network, expected {SMALLEST_AGREEMENT}")
        write_golden(golden_path(out), frames, results, phrases)


def golden_frames(path: Path, modalities: tuple[str, ...], layout: Layout | str = SIMULATED) -> list[Frame]:
    """Four frames of a data set or a bag, evenly spread over it; of one that has fewer, some come again."""
    frames = [example.frame for example in read_examples(Source(path, GOLDEN_FRAMES, layout), modalities)]
    return [frames[i * len(frames) // GOLDEN_FRAMES] for i in range(GOLDEN_FRAMES)]


def load_task(checkpoint: Path) -> SegmentationTask:
    """The task of a Lightning checkpoint, in evaluation mode; its options are those of the network alone.

    Raises ``ValueError`` where the file of its label set has other classes by now.
    """
    data = read_trained(checkpoint)
    task = SegmentationTask(network_options(data["hyper_parameters"], str(checkpoint)))
    trained = trained_classes(data, str(checkpoint))
    if trained is not None and trained != task.labels.names:
        raise ValueError(
            f"{checkpoint}: trained on the classes {', '.join(trained)!s:.200}; its label set "
            f"{task.hparams['network']['label_set']} now has {', '.join(task.labels.names)!s:.200}: put the file back"
        )
    load_weights(task, checkpoint)
    return task.eval()


def layout_of(checkpoint: Path) -> Layout:
    """The layout of the data that a checkpoint was trained on last. Raises ``ValueError`` for several."""
    return load_layout(layout_name(read_checkpoint(checkpoint).get("datamodule_hyper_parameters", {}), str(checkpoint)))


def licence_of(task: SegmentationTask, sources: Sequence[str] = (SIMULATION,)) -> tuple[str, str]:
    """Licence of the weights and whether commercial use is allowed, by what they were started from and trained on."""
    return licence_terms(task.imagenet, sources)


def licence_terms(imagenet: str | None, sources: Sequence[str]) -> tuple[str, str]:
    """As ``licence_of``, of the name of the ImageNet weights and the sources."""
    terms = [] if imagenet is None else [IMAGENET_LICENCE.format(imagenet)]
    if foreign := [source for source in sources if source != SIMULATION]:
        terms.append(DATA_LICENCE.format(", ".join(foreign)))
    if not terms:
        return LICENCE, "yes"
    return "; ".join(terms), "unknown" if imagenet is None else "no"


def _agreement(
    graph: ModelFile, names: Sequence[str], frames: Sequence[Frame], results: Sequence[Segmentation]
) -> float:
    """Share of labels that agree in the frame where they differ most; frames have all modalities."""
    equal = []
    with torch.inference_mode():
        for frame, result in zip(frames, results, strict=True):
            given = frame.images()
            images = [torch.from_numpy(np.ascontiguousarray(given[name]))[None] for name in names]
            labels, _, logits = graph(*images, torch.ones(len(images)))
            best = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False).topk(2, 1).values[0]
            undecided = best[0] - best[1] < UNDECIDED * logits.std()
            equal.append(float((undecided | (labels[0] == torch.from_numpy(result.labels))).float().mean()))
    return min(equal)


def _short_scores(path: Path | None) -> dict:
    """mIoU by condition and light level out of the JSON of ``gemini-ros train test``."""
    if path is None:
        return {}
    try:
        return {
            condition: {light: round(score["miou"], 4) for light, score in by_light.items()}
            for condition, by_light in read_json(path).items()
        }
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: no scores of `gemini-ros train test`: {one_line(error)}") from error


def _translation_scores(path: Path | None) -> dict[str, Any]:
    """As ``_short_scores``, of a translation: the scores of all frames."""
    if path is None:
        return {}
    try:
        return {**read_json(path)["translation"]["all"]}
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path}: no scores of `gemini-ros train test` of {TRANSLATE}: {one_line(error)}") from error
