"""The benchmark's opponent must be the real thing: the same network, at the cost the paper's formulation has."""

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.straightforward import StraightforwardSegmenter
from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.official import load_official

pytestmark = pytest.mark.torch
TINY = MiTConfig((16, 32, 40, 64), (1, 2, 1, 1))


@pytest.mark.parametrize(("size", "gflop"), [("b0", 44.5), pytest.param("b3", 309, marks=pytest.mark.slow)])
def test_straightforward_form_costs_what_it_should(size, gflop):
    with torch.device("meta"):
        model = StraightforwardSegmenter(MIT_SIZES[size], 40).eval()
        image = torch.zeros(1, 3, 480, 640)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image, image)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, rel=0.01)


def pair(config, modalities):
    """The straightforward form, and the package's network of its weights."""
    torch.manual_seed(0)
    straightforward = StraightforwardSegmenter(config, 6, len(modalities)).eval()
    with torch.no_grad():
        for parameter in straightforward.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = FusionSegmenter(config, modalities, 6).eval()
    load_official(model, straightforward.state_dict())
    return straightforward, model


def test_straightforward_form_gives_the_same_answer():
    straightforward, model = pair(TINY, ("rgb", "depth"))
    images = torch.randn(2, 2, 3, 64, 96).unbind()
    with torch.no_grad():
        expected = straightforward(*images)
        found = model(list(images))
    for f, e in zip([*found.streams, found.ensemble], expected, strict=True):
        torch.testing.assert_close(f, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("modalities", "subsets"),
    [
        (("rgb", "depth", "thermal"), [*itertools.product((0, 1), repeat=3)][1:]),
        (("rgb", "depth", "event", "lidar"), [(1, 1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 1), (1, 0, 0, 0)]),
    ],
    ids=["three", "four"],
)
def test_of_more_modalities_the_deploy_form_gives_the_same_answer_whatever_is_missing(modalities, subsets):
    straightforward, model = pair(TINY, modalities)
    deployed = DeployedSegmenter(model)
    images = torch.randn(len(modalities), 1, 3, 32, 64)
    with torch.inference_mode():
        for flags in subsets:
            present = torch.tensor(flags, dtype=torch.float32)
            given = list((images * present[:, None, None, None, None]).unbind())
            _, _, expected = straightforward(*given, present=[bool(flag) for flag in flags])
            assert (deployed(given, present) - expected).abs().max() < 1e-4
