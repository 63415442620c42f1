"""The benchmark's opponent must be the real thing: the same network, at the cost the paper's formulation has."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.straightforward import StraightforwardSegmenter
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.official import load_official

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("size", "gflop"), [("b0", 44.5), ("b3", 309)])
def test_straightforward_form_costs_what_it_should(size, gflop):
    with torch.device("meta"):
        model = StraightforwardSegmenter(MIT_SIZES[size], 40).eval()
        image = torch.zeros(1, 3, 480, 640)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image, image)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, rel=0.01)


def test_straightforward_form_gives_the_same_answer():
    torch.manual_seed(0)
    config = MiTConfig((16, 32, 40, 64), (1, 2, 1, 1))
    straightforward = StraightforwardSegmenter(config, 6).eval()
    with torch.no_grad():
        for parameter in straightforward.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = FusionSegmenter(config, ("rgb", "depth"), 6).eval()
    load_official(model, straightforward.state_dict())
    images = torch.randn(2, 2, 3, 64, 96).unbind()
    with torch.no_grad():
        expected = straightforward(*images)
        found = model(list(images))
    for f, e in zip([*found.streams, found.ensemble], expected, strict=True):
        torch.testing.assert_close(f, e, rtol=1e-4, atol=1e-5)
