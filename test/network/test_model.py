"""The network against the paper's formulas, written the long way, and its published sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig
from gemini_ros.network.fusion.gemini import HEADS, GeminiFusion
from gemini_ros.network.fusion.operator import BlockState, Site
from gemini_ros.network.model import FusionSegmenter, ensemble
from gemini_ros.network.parity import ParityCheck, check_parity

pytestmark = pytest.mark.torch
TINY = MiTConfig((16, 16, 40, 64), (1, 1, 1, 1))


@pytest.mark.parametrize(
    ("size", "parameters", "fusion"),
    [
        ("b0", 5_863_562, 2_131_968),
        ("b1", 22_201_066, 8_499_200),
        ("b2", 41_081_834, 16_323_456),
        ("b3", 74_551_274, 29_894_016),
        ("b4", 102_248_170, 40_800_000),
        ("b5", 137_209_322, 55_137_408),
    ],
)
def test_sizes_are_those_of_the_official_network(size, parameters, fusion):
    with torch.device("meta"):
        model = FusionSegmenter(size, ("rgb", "depth"), 40)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for name, p in model.named_parameters() if ".fusion." in name) == fusion


def paper_fusion(fusion: GeminiFusion, x_a: torch.Tensor, x_b: torch.Tensor) -> list[torch.Tensor]:
    """Equations 4-9 of arXiv:2406.01210 pixel by pixel, with torch's own multi-head attention over the two keys."""
    width = x_a.shape[-1]
    outputs = []
    for i, (xs, ys) in enumerate(((x_a, x_b), (x_b, x_a))):
        attention = nn.MultiheadAttention(width, HEADS, batch_first=True, dtype=x_a.dtype)
        pair = fusion.attention[i]
        attention.load_state_dict(
            {
                "in_proj_weight": pair.in_proj_weight,
                "in_proj_bias": pair.in_proj_bias,
                "out_proj.weight": pair.out_proj.weight,
                "out_proj.bias": pair.out_proj.bias,
            }
        )
        result = torch.empty_like(xs)
        for b in range(xs.shape[0]):
            for n in range(xs.shape[1]):
                x, y = xs[b, n], ys[b, n]
                phi = fusion.fc2(nn.functional.gelu(fusion.fc1(torch.cat([x, y])))).softmax(0)
                keys = torch.stack([x + fusion.k_noise[i], x * phi])
                values = torch.stack([x + fusion.v_noise[i], y])
                result[b, n] = x + attention(x[None, None], keys[None], values[None])[0][0, 0]
        outputs.append(result)
    return outputs


def test_gemini_fusion_is_the_papers_attention():
    torch.manual_seed(0)
    fusion = GeminiFusion(Site(16, 2, 1)).double()
    for parameter in fusion.parameters():
        nn.init.normal_(parameter, std=0.5)
    x_a, x_b = torch.randn(2, 2, 15, 16, dtype=torch.double)
    with torch.no_grad():
        found = fusion(x_a, x_b, 3, 5, BlockState((x_a, x_b), nn.Identity()))
        expected = paper_fusion(fusion, x_a, x_b)
    assert found[2] is None
    for f, e in zip(found[:2], expected, strict=True):
        torch.testing.assert_close(f, e, rtol=0, atol=1e-12)


def shake(model):
    """Move every parameter away from its initial value, so that each one matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def test_each_stream_uses_the_other():
    torch.manual_seed(0)
    model = FusionSegmenter(TINY, ("rgb", "depth"), 5).eval()
    shake(model)
    rgb, depth, other = torch.randn(3, 1, 3, 64, 96)
    with torch.no_grad():
        first, second = model([rgb, depth]), model([rgb, other])
    assert (first.streams[0] - second.streams[0]).abs().max() > 1e-3


def test_ensemble_weighs_what_is_present_and_trains_alpha_alone():
    logits = [torch.full((2, 3, 1, 1), value, requires_grad=True) for value in (1.0, 5.0)]
    alpha = torch.tensor([0.0, np.log(3.0)], dtype=torch.float32, requires_grad=True)
    result = ensemble(logits, alpha, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert result[:, 0, 0, 0].tolist() == pytest.approx([0.25 * 1 + 0.75 * 5, 1.0])
    result.sum().backward()
    assert alpha.grad is not None and alpha.grad.abs().min() > 0
    assert logits[0].grad is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("b9", ("rgb", "depth"), 5), "encoder 'b9', expected one of"),
        (("nano", ("rgb", "depth"), 5, "magic"), "fusion 'magic', expected one of"),
        (
            ("nano", ("rgb", "depth", "thermal", "event", "lidar"), 5),
            "modalities .*'lidar'.*, expected 1 to 4, each once",
        ),
        (("nano", ("rgb", "depth", "depth"), 5), "modalities .*, expected 1 to 4, each once"),
        (("nano", (), 5), r"modalities \(\), expected 1 to 4"),
        (("swin_tiny", ("rgb", "depth", "thermal"), 5), "a Swin encoder with 3 modalities, expected one or two"),
    ],
)
def test_unknown_configurations_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FusionSegmenter(*arguments)


def official_file(path, model, images):
    """A reference file of the official layout, made from a network of ours."""
    names = {}
    for name, value in model.state_dict().items():
        names[official_name(name)] = value.numpy()
    with torch.no_grad():
        prediction = model(images)
    np.savez(
        path,
        **{f"weights/{name}": value for name, value in names.items()},
        **{f"input/{name}": x.numpy() for name, x in zip(model.modalities, images, strict=True)},
        **{"output/out_ens": prediction.ensemble.numpy(), "output/out_rgb": prediction.streams[0].numpy()},
    )


def official_name(name: str) -> str:
    """The official name of one of our parameters: the reverse of ``official.translate``, by hand."""
    parts = name.split(".")
    if parts[0] == "alpha":
        return name
    if parts[0] == "decoder":
        if parts[1] == "linear":
            return f"decoder.linear_c{int(parts[2]) + 1}.proj.{parts[3]}"
        where = {"fuse": "linear_fuse.conv", "norm": "linear_fuse.bn", "predict": "linear_pred"}[parts[1]]
        return f"decoder.{where}.{parts[2]}"
    stage = int(parts[2]) + 1
    if parts[3] == "norm":
        return f"encoder.norm{stage}.ln_{parts[4]}.{parts[5]}"
    if parts[3] == "embed":
        tail = f"proj.module.{parts[5]}" if parts[4] == "proj" else f"norm.ln_{parts[5]}.{parts[6]}"
        return f"encoder.patch_embed{stage}.{tail}"
    block, rest = f"encoder.block{stage}.{parts[4]}", parts[5:]
    if rest[0] in ("norm1", "norm2"):
        return f"{block}.{rest[0]}.ln_{rest[1]}.{rest[2]}"
    if rest[0] == "mlp":
        return f"{block}.mlp.{'dwconv.dwconv' if rest[1] == 'dwconv' else rest[1] + '.module'}.{rest[2]}"
    if rest[0] == "attn":
        return f"{block}.attn." + (
            f"norm.ln_{rest[2]}.{rest[3]}" if rest[1] == "norm" else f"{rest[1]}.module.{rest[2]}"
        )
    if rest[1] == "attention":
        direction = ("0_to_1", "1_to_0")[int(rest[2])]
        return f"{block}.attn.cross_attn_{direction}.{'.'.join(rest[3:])}"
    if rest[1].endswith("noise"):
        return f"{block}.attn.{rest[1]}.weight"
    return f"{block}.attn.relation_judger.0.{rest[1]}.{rest[2]}"


def test_parity_reads_the_architecture_off_the_weights_and_finds_a_difference(tmp_path):
    torch.manual_seed(1)
    model = FusionSegmenter(MiTConfig((16, 32, 40, 64), (1, 2, 1, 1)), ("rgb", "depth"), 6).eval()
    shake(model)
    images = [torch.randn(1, 3, 64, 96) for _ in range(2)]
    official_file(tmp_path / "good.npz", model, images)
    assert check_parity(tmp_path / "good.npz").worst < 1e-5

    with np.load(tmp_path / "good.npz") as archive:
        arrays = dict(archive)
    arrays["weights/encoder.block1.0.attn.k_noise.weight"] += 1
    np.savez(tmp_path / "other.npz", **arrays)
    assert check_parity(tmp_path / "other.npz").worst > 1e-4

    for name, bad, message in (
        ("output/out_ens", np.full(arrays["output/out_ens"].shape, np.nan, np.float32), None),
        (
            "output/out_ens",
            np.zeros((1, 1, 1, 1), np.float32),
            r"bad.npz: output/out_ens \(1, 1, 1, 1\), expected \(1, 6,",
        ),
        (
            "input/depth",
            arrays["input/depth"][:, :1],
            r"bad.npz: input/ .*depth \(1, 1, 64, 96\), expected \(B, 3, H, W",
        ),
    ):
        np.savez(tmp_path / "bad.npz", **arrays | {name: bad})
        if message is None:
            assert not check_parity(tmp_path / "bad.npz").passed
        else:
            with pytest.raises(ValueError, match=message):
                check_parity(tmp_path / "bad.npz")

    arrays["weights/decoder.linear_pred.weight"] = np.zeros((7, 256, 1, 1), np.float32)
    np.savez(tmp_path / "shape.npz", **arrays)
    with pytest.raises(ValueError, match=r"decoder\.linear_pred\.bias: shape \(6,\), expected \(7,\)"):
        check_parity(tmp_path / "shape.npz")


def test_parity_is_within_a_tolerance_or_not():
    check = ParityCheck({"out_rgb": 2e-6, "out_ens": 3e-5}, 1e-4)
    assert check.passed
    assert check.lines() == [
        "out_rgb              2.00e-06",
        "out_ens              3.00e-05",
        "passed: worst 3.00e-05, tolerance 1e-04",
    ]
    assert not ParityCheck({"out_rgb": 0.0, "out_ens": float("nan"), "out_x": 0.0}, 1e-4).passed
    check = ParityCheck(check.differences, 1e-5)
    assert not check.passed
    assert check.lines()[-1] == "FAILED: worst 3.00e-05, tolerance 1e-05"


def test_parity_names_a_file_of_another_kind(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="not an npz"):
        check_parity(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="expected weights/"):
        check_parity(tmp_path / "y.npz")


def test_nano_is_about_half_as_wide_as_b0():
    assert [w / b for w, b in zip(MIT_SIZES["nano"].widths, MIT_SIZES["b0"].widths, strict=True)] == [0.5] * 4
