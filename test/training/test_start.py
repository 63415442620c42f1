"""Starting from other weights: what fits is taken, the rest begins anew, and another network's are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from gemini_ros.core.labels import load_label_set
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.export import load_task
from gemini_ros.training.task import SegmentationTask
from test.training.toy import nano

pytestmark = pytest.mark.torch
NAME = Path("nav5_rgbd_nano")
CLASSIFIER = "decoder.predict."


def shipped(name: Path | str = NAME):
    return read_weights(Path(f"models/{name}.safetensors")).state


def sentences(task):
    """What the task says it started from, without the name of the file."""
    return [line.partition(".safetensors: ")[2] for line in task.start.lines()]


def test_a_shipped_model_starts_a_network_of_the_same_classes():
    task = SegmentationTask(nano("rgb", "depth", label_set="nav5"), weights=NAME)
    state = task.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in shipped().items())
    assert task.sources == ["gemini-ros dataset simulate"] and task.imagenet is None
    assert sentences(task) == ["the encoder, the fusion and the decoder are taken", "nothing begins anew"]


def test_other_classes_get_a_new_classifier():
    torch.manual_seed(0)
    fresh = SegmentationTask(nano("rgb", "depth", label_set="nyudv2_13")).network.state_dict()
    torch.manual_seed(0)
    task = SegmentationTask(nano("rgb", "depth", label_set="nyudv2_13"), weights=NAME)
    expected = shipped()
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, (fresh if name.startswith(CLASSIFIER) else expected)[name]), name
    assert sentences(task)[1:] == ["the classifier of 13 classes begins anew"]


def test_two_modalities_start_a_network_of_three():
    task = SegmentationTask(nano("rgb", "depth", "thermal", label_set="nav5"), weights=NAME)
    state, old = task.network.state_dict(), shipped()
    stage = "encoder.stages.1"
    for ours, theirs in ((0, 0), (1, 1), (2, 1)):
        assert torch.equal(state[f"{stage}.embed.norm.{ours}.weight"], old[f"{stage}.embed.norm.{theirs}.weight"])
    for name in ("blocks.0.fusion.k_noise", "blocks.1.norm2.1.bias", "norm.0.weight", "embed.proj.weight"):
        assert torch.equal(state[f"{stage}.{name}"], old[f"{stage}.{name}"])
    assert torch.equal(state["alpha"], old["alpha"]) and not any(".scores." in name for name in old)
    assert sentences(task)[1:] == [
        "the score of each modality of the second stream begins anew",
        "thermal starts as depth",
    ]


def test_thermal_weights_keep_their_place_among_three():
    old = shipped("warehouse_rgbt_linear_nano")
    task = SegmentationTask(nano("rgb", "depth", "thermal"), weights=Path("warehouse_rgbt_linear_nano"))
    stage = "encoder.stages.0.embed.norm"
    state = task.network.state_dict()
    assert all(torch.equal(state[f"{stage}.{m}.weight"], old[f"{stage}.1.weight"]) for m in (1, 2))
    assert sentences(task)[2:] == [
        "depth starts as thermal",
        "thermal was linear there and is radiometric here",
    ]


def test_classes_of_a_checkpoint_are_those_it_was_trained_with_not_a_files(tmp_path):
    """A label set of another order under the same name would change free and lethal places without a word."""
    file, other = tmp_path / "yard.yaml", tmp_path / "same.yaml"
    about = load_label_set("nav5").to_dict()
    for path in (file, other):
        path.write_text(yaml.safe_dump(about))
    task = SegmentationTask(nano("rgb", label_set=str(file)))
    checkpoint = {"state_dict": task.state_dict(), "hyper_parameters": dict(task.hparams)}
    task.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "yard.ckpt")
    assert load_task(tmp_path / "yard.ckpt").labels.names == task.labels.names
    again = SegmentationTask(nano("rgb", label_set=str(other)), weights=tmp_path / "yard.ckpt")
    assert not again.start.anew  # the same classes by another path

    names = [one["name"] for one in about["classes"]]
    for one, name in zip(about["classes"], reversed(names), strict=True):
        one["name"] = name
    file.write_text(yaml.safe_dump(about))
    with pytest.raises(
        ValueError, match=rf"trained on the classes {names[0]}, .* now has {names[-1]}, .*put the file back"
    ):
        load_task(tmp_path / "yard.ckpt")
    turned = SegmentationTask(nano("rgb", label_set=str(file)), weights=tmp_path / "yard.ckpt")
    assert turned.start.anew == (f"the classifier of {len(names)} classes",)


@pytest.mark.parametrize(
    ("name", "ours", "complaint"),
    [
        ("warehouse_rgbt_nano", nano("rgb", "depth"), "weights of rgb, thermal, the network has rgb, depth: expected"),
        (NAME, nano("rgb"), "weights of rgb, depth, the network has rgb: expected"),
        (NAME, nano("depth", "rgb"), "weights whose first stream is rgb, that of the network is depth"),
        (NAME, nano("rgb", "depth", fusion="none"), "weights of fusion gemini, the network has none"),
        (
            NAME,
            replace(nano("rgb", "depth"), encoder="b0"),
            ": the weights are of nano with gemini, the network is b0 with gemini",
        ),
    ],
)
def test_weights_of_another_network_are_refused_in_one_sentence(name, ours, complaint):
    with pytest.raises(ValueError) as error:
        SegmentationTask(ours, weights=Path(name))
    text = str(error.value)
    assert f"{name}.safetensors: " in text and complaint in text and "\n" not in text


def test_a_name_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(
        FileNotFoundError, match=r"weights gone: No such .*; expected .*: nav5_rgbd_nano, warehouse_rgb_"
    ):
        SegmentationTask(nano("rgb"), weights=Path("gone"))
