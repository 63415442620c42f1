"""The check that a model file says what the network says: rounding passes, another network does not."""

import copy

import numpy as np
import pytest
import torch

from gemini_ros.cli import main
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.datasets import examples
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.export import SIMULATION, SMALLEST_AGREEMENT, _agreement, golden_frames, layout_of, licence_of
from gemini_ros.training.modalities import MODALITY_DEFAULTS
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.testing import answers
from test.evaluation.drive import write_drive
from test.training.toy import nano, save_checkpoint, write_folder

pytestmark = pytest.mark.torch


def network(seed):
    torch.manual_seed(seed)
    model = FusionSegmenter("nano", ("rgb",), 10)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def graph_of(model):
    return ModelFile(model, (MODALITY_DEFAULTS["rgb"],), (96, 64)).eval()


def test_agreement_allows_rounding_and_nothing_else():
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    model = network(0)
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.half().float())
    frames = [Frame(0, "camera", rgb=rgb)]
    with torch.inference_mode():
        labels, confidence, _ = graph_of(model)(torch.from_numpy(rgb)[None], torch.ones(1))
    assert len(labels.unique()) > 1
    results = [Segmentation(labels[0].numpy(), confidence[0].numpy())]
    assert _agreement(graph_of(model), ("rgb",), frames, results) == 1
    assert _agreement(graph_of(rounded), ("rgb",), frames, results) >= SMALLEST_AGREEMENT
    assert _agreement(graph_of(network(1)), ("rgb",), frames, results) < 0.9
    wrong = [Segmentation(np.ascontiguousarray(labels[0].numpy()[:, ::-1]), confidence[0].numpy())]
    assert _agreement(graph_of(model), ("rgb",), frames, wrong) < SMALLEST_AGREEMENT


def test_golden_frames_are_the_only_ones_opened(tmp_path, monkeypatch):
    """Of eight frames four, without their labels; nothing is unpacked."""
    folder = write_folder(tmp_path / "set")
    opened = []
    read_stored = examples.read_stored
    monkeypatch.setattr(examples, "read_stored", lambda path, *rest: opened.append(path) or read_stored(path, *rest))
    golden = golden_frames(folder, ("rgb", "depth"))
    assert len(golden) == 4 and len(opened) == 8 and len(set(opened)) == 8
    assert all(set(frame.images()) == {"rgb", "depth"} for frame in golden)
    assert not any(path.parent.name == "labels" for path in opened) and not (folder / ".unpacked").exists()


def test_golden_frames_come_from_a_bag_too(tmp_path):
    golden = golden_frames(write_drive(tmp_path / "drive.mcap", frames=3), ("rgb", "depth"))
    assert [frame.stamp_ns - golden[0].stamp_ns for frame in golden] == [0, 0, 100_000_000, 200_000_000]


@pytest.mark.slow
def test_the_network_has_the_size_of_the_frames_unless_another_is_given(tmp_path, capsys):
    """A training of crops knows no size, so the command says which one the file got, and from where."""
    checkpoint = save_checkpoint(SegmentationTask(nano("rgb")), tmp_path / "a.ckpt")
    bag, out = write_drive(tmp_path / "drive.mcap", frames=1), tmp_path / "x.onnx"
    (frame, *_) = golden_frames(bag, ("rgb",))
    command = ["model", "export", str(checkpoint), "--frames", str(bag), "--layout", "simulated", "--out", str(out)]
    for words, size, reason in (
        ([], frame.size, f", the size of the frames in {bag}: --size gives another one"),
        (["--size", "96x64"], (96, 64), ""),
    ):
        assert main([*command, *words]) == 0
        assert f"wrote    {out}: network {size[0]}x{size[1]}{reason}\n" in capsys.readouterr().out
        assert read_model_info(out).network_size == size


def test_scores_are_of_the_labels_and_the_confidence_that_the_file_gives():
    task = SegmentationTask(nano("rgb")).eval()
    task.network = network(0)
    rgb = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8))
    with torch.inference_mode():
        sample = {"rgb": rgb, "present": torch.ones(1, 1), "labels": rgb[..., 0]}
        labels, confidence = answers(task(sample).ensemble, (64, 96))
        expected = [output.numpy() for output in graph_of(task.network)(rgb, torch.ones(1))[:2]]
    assert labels.dtype == confidence.dtype == np.uint8 and labels.shape == (1, 64, 96)
    assert (labels == expected[0]).mean() > 0.999
    assert np.abs(confidence.astype(int) - expected[1]).max() <= 1 and np.ptp(confidence) > 20


def test_a_file_says_whose_data_it_was_trained_on(tmp_path):
    """Only simulated data makes weights that are free of others' terms; a checkpoint names its data's layout."""
    task = SegmentationTask(nano("rgb"))
    for parameters, name, licence, commercial_use in (
        ({}, "simulated", "Apache-2.0", "yes"),
        ({"datamodule_hyper_parameters": {"layout": "simulated"}}, "simulated", "Apache-2.0", "yes"),
        ({"datamodule_hyper_parameters": {"folders": {"layout": "mfnet_9"}}}, "mfnet_9", "IROS 2017", "unknown"),
        ({"datamodule_hyper_parameters": {"layout": "mfnet_9"}}, "mfnet_9", "Ha et al., IROS 2017", "unknown"),
        (
            {"datamodule_hyper_parameters": {"folders": {}, "sources": [{"layout": "mfnet_9"}] * 2}},
            "mfnet_9",
            "IROS 2017",
            "unknown",
        ),
    ):
        torch.save(parameters, tmp_path / "a.ckpt")
        layout = layout_of(tmp_path / "a.ckpt")
        terms, commercial = licence_of(task, [layout.source])
        assert (layout.name, commercial) == (name, commercial_use) and licence in terms
    sources = [{"layout": "mfnet_9"}, {"layout": "recorded"}]
    torch.save({"datamodule_hyper_parameters": {"sources": sources}}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="learnt from layouts mfnet_9, recorded, expected one of them in --layout"):
        layout_of(tmp_path / "a.ckpt")
    task.imagenet = "mit_b0.pth"
    terms, commercial = licence_of(task, [SIMULATION, "somebody's data"])
    assert "mit_b0.pth" in terms and "somebody's data" in terms and commercial == "no"
