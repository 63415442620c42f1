"""ImageNet weights in their authors' layouts: copied to every modality, and nothing else is touched."""

import pytest
import torch

from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SWIN_SIZES, SwinConfig
from gemini_ros.network.imagenet import load_imagenet
from gemini_ros.network.model import FusionSegmenter
from test.network.published import microsoft_shapes, nvlabs_shapes, random_weights

MIT = MiTConfig((16, 32, 40, 64), (1, 2, 1, 1))
SWIN = SwinConfig(16, (2, 1, 2, 1), (1, 2, 4, 8))
UNTOUCHED = ("decoder.", "alpha")


def published(config):
    """What the authors' file holds, for a made-up size."""
    if isinstance(config, MiTConfig):
        return random_weights(nvlabs_shapes(config))
    return {"model": random_weights(microsoft_shapes(config))}


def kept(name):
    """Whether a weight of ours keeps its initialisation: a classifier has none like it."""
    return (
        name.startswith(UNTOUCHED) or ".fusion." in name or name.startswith(tuple(f"encoder.norms.{s}." for s in "012"))
    )


@pytest.mark.parametrize("modalities", [("rgb",), ("rgb", "thermal")])
@pytest.mark.parametrize(
    ("config", "fusion"), [(MIT, "gemini"), (MIT, "token_exchange"), (SWIN, "gemini"), (SWIN, "none")]
)
def test_every_encoder_weight_comes_from_the_file_and_no_other(tmp_path, config, fusion, modalities):
    torch.save(published(config), tmp_path / "x.pth")
    model = FusionSegmenter(config, modalities, 5, fusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    load_imagenet(model, tmp_path / "x.pth")
    for name, parameter in model.named_parameters():
        assert (parameter == 7.0).all() if kept(name) else (parameter != 7.0).all(), name


def test_mit_names(tmp_path):
    weights = published(MIT)
    torch.save(weights, tmp_path / "mit.pth")
    model = FusionSegmenter(MIT, ("rgb", "depth"), 5)
    load_imagenet(model, tmp_path / "mit.pth")
    own = model.encoder.state_dict()
    for name, source in {
        "stages.0.embed.proj.weight": "patch_embed1.proj.weight",
        "stages.3.embed.norm.0.bias": "patch_embed4.norm.bias",
        "stages.3.embed.norm.1.bias": "patch_embed4.norm.bias",
        "stages.1.blocks.1.norm1.0.weight": "block2.1.norm1.weight",
        "stages.1.blocks.1.norm2.1.weight": "block2.1.norm2.weight",
        "stages.1.blocks.1.attn.kv.weight": "block2.1.attn.kv.weight",
        "stages.1.blocks.1.attn.sr.bias": "block2.1.attn.sr.bias",
        "stages.1.blocks.1.attn.norm.1.bias": "block2.1.attn.norm.bias",
        "stages.2.blocks.0.mlp.dwconv.weight": "block3.0.mlp.dwconv.dwconv.weight",
        "stages.2.norm.1.weight": "norm3.weight",
    }.items():
        assert torch.equal(own[name], weights[source]), name


def test_swin_names(tmp_path):
    weights = published(SWIN)
    torch.save(weights, tmp_path / "swin.pth")
    model = FusionSegmenter(SWIN, ("rgb", "depth"), 5)
    places = model.encoder.layers[0].blocks[0].attn.relative_position_index.clone()
    load_imagenet(model, tmp_path / "swin.pth")
    own = model.encoder.state_dict()
    for name, source in {
        "patch_embed.proj.weight": "patch_embed.proj.weight",
        "patch_embed.norm.1.weight": "patch_embed.norm.weight",
        "layers.0.blocks.1.attn.qkv.weight": "layers.0.blocks.1.attn.qkv.weight",
        "layers.0.blocks.1.attn.relative_position_bias_table": "layers.0.blocks.1.attn.relative_position_bias_table",
        "layers.0.blocks.1.norm2.bias": "layers.0.blocks.1.norm2.bias",
        "layers.2.downsample.norm.weight": "layers.2.downsample.norm.weight",
        "norms.3.0.weight": "norm.weight",
        "norms.3.1.weight": "norm.weight",
    }.items():
        assert torch.equal(own[name], weights["model"][source]), name
    assert torch.equal(model.encoder.layers[0].blocks[0].attn.relative_position_index, places)


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (MIT, {"block2.1.attn.q.weight": None}, r"block2\.1\.attn\.q\.weight is missing, expected shape \(32, 32\)"),
        (MIT, {"norm4.bias": torch.zeros(63)}, r"norm4\.bias has shape \(63,\), expected \(64,\)"),
        (MIT, {"block1.1.norm1.weight": torch.zeros(16)}, r"block1\.1\.norm1\.weight has no place in this encoder"),
        (SWIN, {"norm.bias": None}, r"norm\.bias is missing, .*in Microsoft's layout of Swin"),
        (
            SWIN,
            {"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(529, 1)},
            r"bias_table has shape \(529, 1\), expected \(169, 1\)",
        ),
        (SWIN, {"layers.0.blocks.2.norm1.weight": torch.zeros(16)}, "has no place in this encoder"),
    ],
)
def test_first_mismatch_is_named_and_nothing_is_changed(tmp_path, config, change, message):
    data = published(config)
    weights = data.get("model", data)
    weights.update(change)
    for name in [name for name, value in weights.items() if value is None]:
        del weights[name]
    torch.save(data, tmp_path / "x.pth")
    model = FusionSegmenter(config, ("rgb", "depth"), 5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_imagenet(model, tmp_path / "x.pth")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_weights_of_the_other_encoder_are_refused(tmp_path):
    torch.save(published(SWIN), tmp_path / "swin.pth")
    with pytest.raises(ValueError, match=r"patch_embed1\.proj\.weight is missing.*NVlabs' layout of MiT"):
        load_imagenet(FusionSegmenter(MIT, ("rgb", "depth"), 5), tmp_path / "swin.pth")


def test_layout_used_in_these_tests_has_the_published_size_of_swin_tiny():
    """28,288,354 parameters (arXiv:2103.14030, table 1: 28 M)."""
    shapes = microsoft_shapes(SWIN_SIZES["swin_tiny"])
    assert (
        sum(torch.Size(s).numel() for name, s in shapes.items() if not name.endswith(("_index", "_mask"))) == 28_288_354
    )
