"""The official layout of weights: every published size is recognised and loaded, everything else is named."""

import numpy as np
import pytest
import torch

from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig
from gemini_ros.network.model import ENCODERS, FusionSegmenter
from gemini_ros.network.official import load_official, read_architecture
from gemini_ros.network.parity import check_parity
from test.network.published import official_shapes, random_weights

TINY_SWIN = SwinConfig(16, (1, 2, 1, 1), (1, 2, 4, 8))
REFERENCES = {"parity_tiny.npz": 7, "parity_swin.npz": 7}


@pytest.mark.parametrize("name", REFERENCES)
def test_network_answers_as_the_official_one(reference_dir, name):
    check = check_parity(reference_dir / name)
    assert {"out_rgb", "out_depth", "out_ens", "feat0_stage1", "feat1_stage4"} <= set(check.differences)
    assert check.worst < 1e-4 and check.passed


@pytest.mark.parametrize(("name", "classes"), REFERENCES.items())
def test_layout_used_in_these_tests_is_the_official_one(reference_dir, name, classes):
    with np.load(reference_dir / name) as archive:
        weights = {n.partition("/")[2]: archive[n].shape for n in archive.files if n.startswith("weights/")}
    config, found = read_architecture({n: torch.empty(shape, device="meta") for n, shape in weights.items()})
    assert found == classes
    assert official_shapes(config, classes) == weights


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_size_is_read_off_the_weights_and_loads(encoder):
    shapes = official_shapes(ENCODERS[encoder], 40)
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert read_architecture(weights) == (ENCODERS[encoder], 40)
    with torch.device("meta"):
        model = FusionSegmenter(encoder, ("rgb", "depth"), 40)
    load_official(model, weights)
    assert len(model.state_dict()) == len(weights)


def test_swin_weights_end_where_they_belong():
    weights = random_weights(official_shapes(TINY_SWIN, 5))
    model = FusionSegmenter(TINY_SWIN, ("rgb", "depth"), 5)
    places = model.encoder.layers[0].blocks[0].attn.relative_position_index.clone()
    load_official(model, weights)
    body, block = "encoder.body.", "layers.1.blocks.1."
    for own, official in {
        "patch_embed.norm.1.bias": "patch_embed.norm.ln_1.bias",
        f"{block}attn.qkv.weight": f"{block}attn.module.qkv.weight",
        f"{block}fusion.attention.0.in_proj_weight": f"{block}cross_attn_0_to_1.in_proj_weight",
        f"{block}fusion.attention.1.out_proj.bias": f"{block}cross_attn_1_to_0.out_proj.bias",
        f"{block}fusion.fc1.weight": f"{block}relation_judger.0.fc1.weight",
        f"{block}fusion.k_noise": f"{block}k_noise.weight",
        "layers.2.downsample.reduction.weight": "layers.2.downsample.module.reduction.weight",
        "norms.3.1.weight": "norm3.ln_1.weight",
    }.items():
        torch.testing.assert_close(model.encoder.state_dict()[own], weights[body + official], rtol=0, atol=0)
    # The file's table of places was wrong (all zero); the network keeps its own.
    assert torch.equal(model.encoder.layers[0].blocks[0].attn.relative_position_index, places)


def tiny(**changes):
    """Weights of a small MiT with some replaced, or taken away by None."""
    weights = random_weights(official_shapes(MiTConfig((16, 32, 40, 64), (1, 1, 1, 1)), 5))
    return {name: value for name, value in (weights | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder.block2.0.attn.q.module.weight": torch.zeros(32, 16)},
            r"encoder\.block2\.0\.attn\.q\.module\.weight: shape \(32, 16\), expected \(32, 32\)",
        ),
        ({"encoder.norm4.ln_1.bias": None}, r"norm\.1\.bias: missing in the checkpoint, expected shape \(64,\)"),
        ({"aux_head.weight": torch.zeros(3)}, r"aux_head\.weight: not part of this network"),
        ({"decoder.linear_pred.weight": None}, r"decoder\.linear_pred\.weight: missing"),
        ({"decoder.linear_pred.weight": torch.zeros(())}, r"linear_pred\.weight: shape \(\), expected 4 dimensions"),
        ({"encoder.patch_embed1.proj.module.weight": None}, "expected a GeminiFusion MiT or Swin"),
        ({"encoder.patch_embed3.proj.module.weight": None}, r"patch_embed3\.proj\.module\.weight: missing"),
        ({"encoder.block3.2.norm1.ln_0.bias": torch.zeros(40)}, "stage 3: block 1 is missing, expected blocks counted"),
        ({"encoder.block3.999999999.norm1.ln_0.bias": torch.zeros(40)}, "stage 3: block 1 is missing"),
        ({"encoder.block7.0.norm1.ln_0.bias": torch.zeros(16)}, "expected the four stages 1 to 4"),
    ],
)
def test_first_mismatch_is_named(changes, message):
    weights = tiny(**changes)
    with pytest.raises(ValueError, match=message):
        config, classes = read_architecture(weights)
        load_official(FusionSegmenter(config, ("rgb", "depth"), classes), weights)
