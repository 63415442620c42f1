"""Options of a training: what a checkpoint holds of them, and what is read of one."""

from pathlib import Path

import pytest
import torch

from gemini_ros.training.optimizer import parameter_groups
from gemini_ros.training.options import (
    FolderOptions,
    NetworkOptions,
    OptimizerOptions,
    layout_name,
    network_options,
    plain,
)
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.weights import read_trained
from test.training.toy import nano

pytestmark = pytest.mark.torch


def test_checkpoints_hold_plain_values(tmp_path):
    stored = {"folders": plain(FolderOptions("recorded", train=(Path("a"), Path("b"))))}
    torch.save(stored, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True) == stored
    assert stored["folders"]["train"] == ["a", "b"] and stored["folders"]["root"] is None


def test_the_network_and_the_layout_are_read_in_groups_and_side_by_side():
    chosen = NetworkOptions("b1", ("rgb", "thermal"), "mfnet_9", thermal_kind="linear", drop_path=0.1)
    flat = plain(chosen) | {"learning_rate": 0.1, "_instantiator": "lightning"}
    assert network_options({"network": plain(chosen), "loss": {}}) == network_options(flat) == chosen
    known = {"encoder": "nano", "modalities": ["rgb"], "label_set": "warehouse"}  # before there was thermal_kind
    assert network_options(known) == nano("rgb")
    assert layout_name({"folders": {"layout": "mfnet_9"}}) == layout_name({"layout": "mfnet_9"}) == "mfnet_9"
    assert layout_name({}) == "simulated"


def test_the_decoder_has_a_rate_of_its_own_and_biases_do_not_decay():
    network = SegmentationTask(nano("rgb")).network
    groups = parameter_groups(network.named_parameters(), OptimizerOptions(0.1, 10.0, 0.2))
    settings = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(settings) == sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        rate = 1.0 if name.startswith(("decoder", "alpha")) else 0.1
        assert settings[id(parameter)] == (rate, 0.2 if parameter.ndim > 1 else 0.0), name


def test_a_checkpoint_of_other_content_is_refused_in_one_line(tmp_path):
    path = tmp_path / "x.ckpt"
    good = {"hyper_parameters": {"network": plain(nano("rgb"))}, "state_dict": {"a": torch.ones(1)}}
    torch.save(good, path)
    assert read_trained(path).keys() == good.keys()
    bad = [{}, good | {"state_dict": 5}, good | {"sources": 3}, {"state_dict": good["state_dict"]}]
    for content in bad:
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"x\.ckpt: ") as raised:
            read_trained(path)
        assert "\n" not in str(raised.value)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"x\.ckpt: truncated, damaged or not a checkpoint"):
        read_trained(path)
    for name, value in (("encoder", 5), ("modalities", ["rgb", "sonar"]), ("thermal_kind", [1]), ("drop_path", "x")):
        with pytest.raises(ValueError, match=f"options: {name} "):
            network_options({**plain(nano("rgb")), name: value})
