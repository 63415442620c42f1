"""Official checkpoints as model files: the same answers, the user's depth, the licence; and what is refused."""

import numpy as np
import pytest
import torch

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.inference import load_segmenter
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig
from gemini_ros.network.model import ENCODERS, FusionSegmenter
from gemini_ros.network.normalise import normalise
from gemini_ros.network.official import load_official
from gemini_ros.training.export import golden_frames
from gemini_ros.training.import_official import DepthPixel, load_checkpoint, parse_depth_pixel
from test.datasets.trees import METRES, write_tree
from test.network.published import deliver_shapes, official_shapes, random_weights

pytestmark = pytest.mark.torch
CLASSES = 40


def save(path, weights, prefix="module."):
    state = {prefix + name: value for name, value in weights.items()}
    torch.save({"segmenter": state, "epoch_start": np.int64(300), "best_val": np.float64(51.5)}, path)


@pytest.fixture(scope="module")
def weights():
    return random_weights(official_shapes(ENCODERS["nano"], CLASSES))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("official") / "mit.pth.tar"
    save(path, weights)
    return path


def command(checkpoint, out, **changes):
    options = {"--labels": "nyudv2_40", "--size": "96x64", "--depth-pixel": "scale=25.5", "--out": str(out)} | changes
    return ["model", "import-official", str(checkpoint), *(word for pair in options.items() for word in pair)]


@pytest.mark.slow
def test_the_model_file_answers_as_the_checkpoint(checkpoint, weights, tmp_path, capsys):
    """The network is fed by the official rule (depth pixel / 255, tiled), written out by hand."""
    out = tmp_path / "x.onnx"
    assert main(command(checkpoint, out)) == 0
    made, licence = capsys.readouterr().out.splitlines()
    assert made == f"{out}: nano, 40 classes, depth 0-10 m"
    assert licence.startswith("licence: code of GeminiFusion: MIT; ") and licence.endswith("; commercial use: no")

    info = load_segmenter(out, backend="onnxruntime").info
    assert info.commercial_use == "no"
    assert "MIT" in info.licence and "NVIDIA Source Code License" in info.licence and "nyudv2" in info.licence
    assert info.architecture["encoder"] == "nano"
    assert info.architecture["depth_pixel"] == {"scale": 25.5, "offset": 0, "max": 255}
    assert "scale=25.5" in info.training_data
    assert info.label_set == load_label_set("nyudv2_40")

    network = FusionSegmenter("nano", ("rgb", "depth"), CLASSES).eval()
    load_official(network, weights)
    with np.load(tmp_path / "x.golden.npz") as golden:
        assert len({name.partition("/")[0] for name in golden.files}) == 8
        rgb, depth = golden["input1/rgb"], golden["input1/depth"]
        labels = golden["output1/labels"]
    assert np.isnan(depth).any() and len(np.unique(labels)) > 1
    colour = (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pixel = np.nan_to_num(25.5 * depth) / 255
    images = [colour.transpose(2, 0, 1), np.stack([pixel] * 3)]
    with torch.inference_mode():
        logits = network([torch.from_numpy(i[None].astype(np.float32)) for i in images]).ensemble
        upsampled = torch.nn.functional.interpolate(logits, (64, 96), mode="bilinear", align_corners=False)
    assert (upsampled.argmax(1)[0].numpy() == labels).mean() > 0.99


def test_golden_frames_are_read_by_their_layout(checkpoint, tmp_path, capsys):
    root = write_tree(tmp_path / "rooms", "nyudv2_40")
    np.testing.assert_allclose(golden_frames(root, ("rgb", "depth"), "nyudv2_40")[3].depth, METRES, atol=1e-3)
    (root / "depth/0001.png").unlink()
    options = {"--frames": str(root), "--layout": "nyudv2_40"}
    assert main(command(checkpoint, tmp_path / "x.onnx", **options)) == 2
    assert "no depth image depth/{stem}.png, as layout nyudv2_40 expects" in capsys.readouterr().err


def test_only_the_first_prefix_is_taken_away(tmp_path, weights):
    save(tmp_path / "x.pth", weights)
    encoder, network = load_checkpoint(tmp_path / "x.pth", load_label_set("nyudv2_40"))
    assert encoder == "nano" and not network.training
    torch.testing.assert_close(
        network.encoder.stages[0].blocks[0].attn.q.weight, weights["encoder.block1.0.attn.q.module.weight"]
    )
    save(tmp_path / "twice.pth", weights, prefix="module.module.")
    with pytest.raises(ValueError, match=r"twice\.pth: decoder\.linear_pred\.weight: missing"):
        load_checkpoint(tmp_path / "twice.pth", load_label_set("nyudv2_40"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scale=25.5", (25.5, 0, 255)),
        ("scale=1000", (1000, 0, 65535)),
        ("scale=1000,max=10000", (1000, 0, 10000)),
        (" scale = 27.5 , offset = -19.5 ", (27.5, -19.5, 65535)),
        ("max=255,offset=-19.5,scale=27.5", (27.5, -19.5, 255)),
        ("scale=20,offset=30", (20, 30, 255)),
    ],
)
def test_depth_pixel_is_what_the_network_sees(text, expected):
    """pixel / 255 where the copy has a pixel, 0 elsewhere."""
    stated = parse_depth_pixel(text)
    assert stated == DepthPixel(*expected)
    assert parse_depth_pixel(str(stated)) == stated
    scale, offset, largest = expected
    metres = np.array([[np.nan, -1, 0, 1e-3, 0.5, 0.8, 1.3, 4, 9.9, 10.1, 70, 1e30, np.inf]], np.float32)
    pixel = scale * metres.astype(np.float64) + offset
    stored = (metres > 0) & (pixel > 0) & (pixel < largest)
    with np.errstate(invalid="ignore"):
        expected_input = np.where(stored, pixel / 255, 0)
    found = normalise(stated.modality())(torch.from_numpy(metres)[None], torch.ones(1))
    assert found.shape == (1, 3, 1, 13)
    for channel in found[0]:
        np.testing.assert_allclose(channel.numpy(), expected_input, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected scale=S"),
        ("25.5", "expected scale=S"),
        ("max=255", "expected scale=S"),
        ("scale=a", "expected scale=S"),
        ("scale=nan", "expected scale=S"),
        ("scale=inf", "expected scale=S"),
        ("scale=1,scale=2", "expected scale=S"),
        ("scale=1,unit=2", "expected scale=S"),
        ("scale=0", "scale 0, expected above 0"),
        ("scale=-25.5,offset=255", "scale -25.5, expected above 0: pixels that grow with distance"),
        ("scale=1,max=0", "max 0 leaves no depth"),
        ("scale=1,offset=9,max=9", "max 9 leaves no depth, expected above 9"),
    ],
)
def test_a_bad_statement_is_named(text, message, tmp_path, capsys):
    with pytest.raises(ValueError, match=message):
        parse_depth_pixel(text)
    assert main(command(tmp_path / "none.pth", tmp_path / "x.onnx", **{"--depth-pixel": text})) == 2
    assert message in capsys.readouterr().err


def other_classes(path, weights):
    save(path, weights | {"decoder.linear_pred.weight": torch.zeros(37, 256, 1, 1)})


def other_shape(path, weights):
    save(path, weights | {"encoder.block1.0.norm1.ln_1.bias": torch.zeros(17)})


def other_size(path, weights):
    save(path, random_weights(official_shapes(MiTConfig((16, 32, 80, 128), (2, 2, 3, 2)), CLASSES)))


def truncated(path, weights):
    save(path, weights)
    path.write_bytes(path.read_bytes()[:100_000])


def not_official(path, weights):
    torch.save({"state_dict": weights}, path)


def no_weights(path, weights):
    torch.save({"segmenter": [1, 2, 3]}, path)


def huge(path, weights):
    save(path, weights | {"encoder.block4.99999999.norm1.ln_0.bias": torch.zeros(128)})


def for_deliver(modalities, **layout):
    def write(path, weights):
        state = random_weights(deliver_shapes(MIT_SIZES["nano"], CLASSES, modalities))
        torch.save({key: state for key in layout} or state, path)

    return write


DELIVER = (
    "a checkpoint for DeLiVER, whose depth (HHA) and other images have three channels, expected one of RGB and depth"
)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (for_deliver(2), DELIVER),
        (for_deliver(4), DELIVER),
        (for_deliver(3, segmenter=True), DELIVER),
        (for_deliver(4, model_state_dict=True), DELIVER),
        (other_classes, "37 classes, label set nyudv2_40 has 40"),
        (other_shape, "encoder.block1.0.norm1.ln_1.bias: shape (17,), expected (16,)"),
        (other_size, "depths=(2, 2, 3, 2)): expected the size of one of nano, b0"),
        (huge, "stage 4: block 2 is missing, expected blocks counted from 0 on"),
        (truncated, "truncated, damaged or not a checkpoint"),
        (not_official, "keys ['state_dict'], expected 'segmenter'"),
        (no_weights, "segmenter: list, expected a state dict"),
    ],
)
def test_a_bad_checkpoint_is_one_line_and_status_2(damage, message, weights, tmp_path, capsys):
    path = tmp_path / "x.pth.tar"
    damage(path, weights)
    assert main(command(path, tmp_path / "x.onnx")) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gemini-ros: {path}: ") and error.count("\n") == 1
    assert message in error
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth.tar"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--labels": "atlantis"}, "atlantis"),
        ({"--labels": "sunrgbd_37"}, "40 classes, label set sunrgbd_37 has 37"),
        ({"--size": "16x16"}, "network_size [16, 16], expected [width, height] of 32-8192"),
    ],
)
def test_a_bad_option_is_named(changes, message, checkpoint, tmp_path, capsys):
    assert main(command(checkpoint, tmp_path / "x.onnx", **changes)) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
