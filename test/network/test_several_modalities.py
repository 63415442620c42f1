"""Networks of three and four modalities: the official one, the formulas written the long way, any of them missing."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from gemini_ros.network.deploy import DeployedSegmenter, ModelFile
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig
from gemini_ros.network.encoders.scored_maximum import ScoredMaximum, further_there
from gemini_ros.network.imagenet import load_imagenet
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.official import count_modalities, official_network, read_architecture
from gemini_ros.network.parity import check_parity
from gemini_ros.training.modalities import described
from test.network.published import deliver_shapes, nvlabs_shapes, random_weights
from test.network.test_deploy import random_model

pytestmark = pytest.mark.torch
TINY = MiTConfig((16, 16, 40, 64), (1, 1, 1, 1))
THREE = ("rgb", "depth", "thermal")
FOUR = ("rgb", "depth", "event", "lidar")


def subsets(count):
    return [list(flags) for flags in itertools.product((0, 1), repeat=count) if any(flags)]


def images_of(modalities, dtype=torch.float32, batch=1):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(batch, 3, 32, 64, dtype=dtype, generator=generator) for _ in modalities]


def test_network_answers_as_the_official_one_of_three(reference_dir):
    check = check_parity(reference_dir / "parity_tiny_rgbdt.npz")
    streams = {f"feat{stream}_stage{stage}" for stream in (0, 1) for stage in (1, 2, 3, 4)}
    assert set(check.differences) == streams | {"out_rgb", "out_x", "out_ens"}
    assert check.worst < 1e-4 and check.passed


def test_layout_used_in_these_tests_is_the_official_one(reference_dir):
    with np.load(reference_dir / "parity_tiny_rgbdt.npz") as archive:
        weights = {n.partition("/")[2]: archive[n].shape for n in archive.files if n.startswith("weights/")}
    config, classes = read_architecture({n: torch.empty(shape, device="meta") for n, shape in weights.items()})
    assert isinstance(config, MiTConfig)
    assert deliver_shapes(config, classes, 3, width=256) == weights


@pytest.mark.parametrize(("modalities", "width"), [(THREE[:2], 512), (THREE, 256), (FOUR, 512)])
def test_weights_of_two_to_four_load_and_all_but_the_dead_ones_are_used(modalities, width):
    weights = random_weights(deliver_shapes(TINY, 25, len(modalities), width))
    assert count_modalities(weights) == len(modalities)
    network = official_network(weights, modalities)
    dead = [name for name in weights if f".score_nets.{len(modalities) - 1}." in name]
    assert len(network.state_dict()) == len(weights) - len(dead)
    assert len(dead) == (16 if len(modalities) > 2 else 0)
    official_network({name: value for name, value in weights.items() if name not in dead}, modalities)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone.patch_embed3.norm.ln_2.bias": None}, r"stages\.2\.embed\.norm\.2\.bias: missing"),
        ({"backbone.extra_score_predictor.1.score_nets.1.1.weight": None}, r"stages\.1\.scores\.1\.1\.weight: missing"),
        (
            {"backbone.extra_score_predictor.0.score_nets.0.0.bias": torch.zeros(17)},
            r"score_nets\.0\.0\.bias: shape \(17,\), expected \(16,\)",
        ),
        (
            {"backbone.extra_score_predictor.0.score_nets.3.0.bias": torch.zeros(16)},
            r"score_nets\.3\.0\.bias: not part of this network",
        ),
        (
            {"backbone.extra_score_predictor.0.score_nets.2.2.bias": torch.zeros(16)},
            r"score_nets\.2\.2\.bias: not part of this network",
        ),
        ({"encoder.norm1.ln_0.bias": torch.zeros(16)}, r"norm1\.ln_0\.bias: not part of this network"),
        (
            {"backbone.patch_embed1.norm.ln_3.bias": torch.zeros(16)},
            "weights of 4 modalities, expected those of 3: rgb",
        ),
    ],
)
def test_first_mismatch_is_named(changes, message):
    weights = random_weights(deliver_shapes(TINY, 5, 3, width=256)) | changes
    with pytest.raises(ValueError, match=message):
        official_network({name: value for name, value in weights.items() if value is not None}, THREE)


def stream_by_loops(scores: ScoredMaximum, embedded, there):
    """The second stream and each scored embedding of one sample, place by place."""
    weighted = []
    for net, x in zip(scores, embedded, strict=True):
        padded = nn.functional.pad(x, (1, 1, 1, 1))
        depthwise, pointwise = net
        result = torch.empty_like(x)
        for i, j in np.ndindex(*x.shape[1:]):
            window = padded[:, i : i + 3, j : j + 3]
            filtered = (window * depthwise.weight[:, 0]).sum((1, 2)) + depthwise.bias
            score = 1 / (1 + torch.exp(-(filtered @ pointwise.weight[0, :, 0, 0] + pointwise.bias[0])))
            result[:, i, j] = score * x[:, i, j] + x[:, i, j]
        weighted.append(result)
    chosen = [x for x, flag in zip(weighted, there, strict=True) if flag] or weighted
    return torch.stack(chosen).amax(0), weighted


def test_the_second_stream_is_the_maximum_of_scored_embeddings_that_are_there():
    torch.manual_seed(0)
    scores = ScoredMaximum(3, 8).double()
    embedded = list(torch.randn(3, 8, 8, 4, 5, dtype=torch.double))  # modalities, samples, ...
    present = torch.tensor([[1.0, *flags] for flags in itertools.product((0, 1), repeat=3)], dtype=torch.double)
    with torch.no_grad():
        found, weighted = scores(embedded, further_there(present))
        for sample, flags in enumerate(present[:, 1:]):
            expected, parts = stream_by_loops(scores, [x[sample] for x in embedded], flags)
            torch.testing.assert_close(found[sample], expected, rtol=0, atol=1e-12)
            for part, whole in zip(parts, weighted, strict=True):
                torch.testing.assert_close(whole[sample], part, rtol=0, atol=1e-12)


@pytest.mark.parametrize("modalities", [THREE, FOUR], ids=len)
def test_deploy_forms_are_exact_whatever_is_missing(modalities):
    model = random_model(modalities).double()
    images = images_of(modalities, torch.double)
    forms = [DeployedSegmenter(model, stacked).double() for stacked in (False, True)[: 5 - len(modalities)]]
    answers = []
    with torch.inference_mode():
        for flags in subsets(len(modalities))[:: len(modalities) - 2]:
            present = torch.tensor(flags, dtype=torch.double)
            expected = model(images, present[None]).ensemble
            for form in forms:
                torch.testing.assert_close(form(images, present), expected, rtol=0, atol=1e-11)
            answers.append(expected)
    for one, other in itertools.combinations(answers, 2):
        assert (one - other).abs().max() > 1e-3


def test_a_missing_modality_changes_nothing_and_samples_of_a_batch_do_not_meet():
    model = random_model(FOUR)
    images = images_of(FOUR, batch=3)
    present = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 1]])
    other = [x.clone() for x in images]
    other[2][0], other[1][1], other[3][1] = 100.0, -100.0, torch.randn(3, 32, 64)
    with torch.inference_mode():
        expected, found = model(images, present), model(other, present)
        for one, two in zip([*expected.streams, expected.ensemble], [*found.streams, found.ensemble], strict=True):
            torch.testing.assert_close(two, one, rtol=0, atol=0)
        alone = model([x[1:2] for x in images], present[1:2])
        torch.testing.assert_close(alone.ensemble, expected.ensemble[1:2], rtol=1e-4, atol=1e-4)


def test_without_all_others_the_first_modality_has_its_stream_to_itself():
    model = random_model(THREE)
    rgb, *others = images_of(THREE)
    with torch.inference_mode():
        found = model([rgb, *(torch.zeros_like(x) for x in others)], torch.tensor([[1.0, 0, 0]]))
        torch.testing.assert_close(found.ensemble, found.streams[0], rtol=0, atol=1e-6)
        without = model([torch.zeros_like(rgb), *others], torch.tensor([[0.0, 1, 1]]))
        torch.testing.assert_close(without.ensemble, without.streams[1], rtol=0, atol=1e-6)


def test_the_graph_ignores_an_absent_image_and_one_without_a_valid_pixel():
    """Not one and the same: an image that is empty takes part, as zeros; what is absent does not."""
    graph = ModelFile(random_model(THREE), described(THREE), (96, 64)).eval()
    random = np.random.default_rng(0)
    rgb = torch.from_numpy(random.integers(0, 256, (1, 80, 100, 3), dtype=np.uint8))
    depth, thermal = (torch.from_numpy(random.uniform(1, 15, (1, 80, 100)).astype(np.float32)) for _ in range(2))
    broken = torch.full_like(depth, torch.nan)
    broken[:, 20:] = torch.inf
    with torch.inference_mode():
        for flags in ([1.0, 0, 1], [1.0, 1, 0], [1.0, 0, 0]):
            present = torch.tensor(flags)
            expected = graph(rgb, depth, thermal, present)
            other = (rgb, depth if flags[1] else broken, thermal if flags[2] else broken * -1)
            for one, two in zip(expected, graph(*other, present), strict=True):
                assert torch.isfinite(two.float()).all()
                torch.testing.assert_close(two, one, rtol=0, atol=0)


def test_every_parameter_learns_with_three_of_four_there():
    torch.manual_seed(0)
    model = FusionSegmenter(TINY, FOUR, 5)
    prediction = model(images_of(FOUR, batch=2), torch.tensor([[1.0, 1, 1, 0], [0, 0, 1, 1]]))
    (sum(x.square().mean() for x in prediction.streams) + prediction.ensemble.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_scores_begin_at_one_half():
    model = FusionSegmenter("nano", THREE, 5)
    for stage, width in zip(model.encoder.stages, MIT_SIZES["nano"].widths, strict=True):
        x = torch.randn(1, width, 8, 8)
        for net in stage.scores:
            assert (net(x).sigmoid() - 0.5).abs().max() < 0.3


def parity_file(path, modalities, width=32, stored=None, first="rgb"):
    """A reference file in the official layout, made from a network of ours."""
    torch.manual_seed(3)
    weights = random_weights(deliver_shapes(TINY, 6, len(modalities), width))
    network = official_network(weights, modalities)
    images = images_of(modalities)
    with torch.no_grad():
        prediction, features = network(images), network.features(images)
    given = dict(zip(modalities, images, strict=True))
    np.savez(
        path,
        **{f"weights/{name}": value.numpy() for name, value in weights.items()},
        **{f"input/{name}": given[name].numpy() for name in stored or modalities},
        **{f"output/out_{first}": prediction.streams[0].numpy(), "output/out_x": prediction.streams[1].numpy()},
        **{"output/out_ens": prediction.ensemble.numpy(), "output/feat1_stage4": features[1][3].numpy()},
    )
    return path


def test_parity_takes_names_and_number_from_the_file(tmp_path):
    for case, (names, stored, first) in enumerate(
        (
            (("rgb", "hha", "event", "lidar"), None, "rgb"),
            (("rgb", "b", "a"), ("b", "rgb", "a"), "rgb"),
            (("left", "right", "up"), None, "left"),
            (("camera", "near_ir"), None, "rgb"),
        )
    ):
        path = parity_file(tmp_path / f"{case}.npz", names, stored=stored, first=first)
        assert check_parity(path).worst < 1e-5
    with np.load(tmp_path / "0.npz") as archive:
        arrays = dict(archive)
    changed = "weights/backbone.extra_score_predictor.3.score_nets.2.1.bias"
    np.savez(tmp_path / "other.npz", **(arrays | {changed: arrays[changed] + 3}))
    assert check_parity(tmp_path / "other.npz").worst > 1e-4
    arrays.pop("input/lidar")
    np.savez(tmp_path / "fewer.npz", **arrays)
    with pytest.raises(ValueError, match="weights of 4 modalities, expected those of 3: rgb, hha, event"):
        check_parity(tmp_path / "fewer.npz")


def test_imagenet_weights_reach_the_norm_of_every_modality_and_leave_the_scores(tmp_path):
    weights = random_weights(nvlabs_shapes(TINY))
    torch.save(weights, tmp_path / "mit.pth")
    model = FusionSegmenter(TINY, FOUR, 5)
    before = {name: value.clone() for name, value in model.state_dict().items() if ".scores." in name}
    load_imagenet(model, tmp_path / "mit.pth")
    found = model.state_dict()
    for modality in range(4):
        assert torch.equal(found[f"encoder.stages.1.embed.norm.{modality}.weight"], weights["patch_embed2.norm.weight"])
    assert len(before) == 4 * 3 * 4 and all(torch.equal(found[name], value) for name, value in before.items())
