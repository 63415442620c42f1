"""Each fusion operator against its equation written out token by token, and proof that the other stream is used."""

import pytest
import torch
from torch import nn

from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig
from gemini_ros.network.fusion import FUSIONS, Site
from gemini_ros.network.fusion.channel_exchange import shrink
from gemini_ros.network.fusion.gemini import HEADS, shares_of_tokens, valid_shares
from gemini_ros.network.fusion.operator import BlockState
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.network.model import FusionSegmenter

pytestmark = pytest.mark.torch

MIT = MiTConfig((16, 16, 40, 64), (1, 2, 1, 1))
SWIN = SwinConfig(16, (2, 2, 1, 1), (1, 2, 2, 4))
HEIGHT, WIDTH, CHANNELS = 4, 6, 16
COMBINATIONS = [(MIT, name) for name in FUSIONS] + [(SWIN, name) for name in FUSIONS if name != "channel_exchange"]


def tokens(seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, 2, HEIGHT * WIDTH, CHANNELS, dtype=torch.double).unbind()


def operator(name, **options):
    torch.manual_seed(1)
    (fusion,) = FUSIONS[name](Site(CHANNELS, 2, 2), 1, **options)
    for parameter in fusion.parameters():
        nn.init.normal_(parameter, std=0.4)
    return fusion.double()


def run(fusion, x_a, x_b, inputs=None, norm=None):
    with torch.no_grad():
        return fusion(x_a, x_b, HEIGHT, WIDTH, BlockState(inputs or (x_a, x_b), norm or nn.Identity()))


def test_none_sum_swap_and_concat_are_what_they_say():
    a, b = tokens()
    assert all(torch.equal(found, x) for found, x in zip(run(operator("none"), a, b)[:2], (a, b), strict=True))
    assert all(torch.equal(found, a + b) for found in run(operator("sum"), a, b)[:2])
    assert all(torch.equal(found, x) for found, x in zip(run(operator("swap"), a, b)[:2], (b, a), strict=True))
    concat = operator("concat")
    found = run(concat, a, b)
    for i, (x, y) in enumerate(((a, b), (b, a))):
        for n in range(HEIGHT * WIDTH):
            expected = concat.mix[i].weight @ torch.cat([x[1, n], y[1, n]]) + concat.mix[i].bias
            torch.testing.assert_close(found[i][1, n], expected)


@pytest.mark.parametrize("key_reduction", [1, None])
def test_cross_attention_attends_to_the_other_streams_keys(key_reduction):
    a, b = tokens()
    fusion = operator("cross_attention", key_reduction=key_reduction)
    assert fusion.key_reduction == (key_reduction or 2)
    found = run(fusion, a, b)
    head = CHANNELS // 2
    for i, (x, y) in enumerate(((a, b), (b, a))):
        source = y[0]
        if key_reduction is None:
            patches = y[0].T.reshape(1, CHANNELS, HEIGHT, WIDTH)
            source = fusion.reduce(patches)[0].flatten(1).T
            mean, variance = source.mean(1, keepdim=True), source.var(1, keepdim=True, unbiased=False)
            norm = fusion.norm[1 - i]
            source = (source - mean) / (variance + 1e-6).sqrt() * norm.weight + norm.bias
        q = fusion.q[i](x[0])
        k, v = fusion.kv[i](source).chunk(2, -1)
        for n in range(0, HEIGHT * WIDTH, 5):
            mixed = []
            for h in range(2):
                part = slice(h * head, (h + 1) * head)
                weights = torch.stack([q[n, part] @ key[part] for key in k]).div(head**0.5).softmax(0)
                mixed.append(sum(w * value[part] for w, value in zip(weights, v, strict=True)))
            torch.testing.assert_close(found[i][0, n], x[0, n] + fusion.out[i](torch.cat(mixed)))


def test_the_gated_operator_adds_what_is_not_valid_to_relation_and_score():
    """Against its definition with both keys and a softmax, token by token; the second image has holes."""
    a, b = tokens()
    fusion = operator("gemini_gated")
    images = list(torch.randn(2, 2, 3, 4 * HEIGHT, 4 * WIDTH, dtype=torch.double))
    images[1][:, :, :10, :7] = 0
    holes = (images[1][0, 0] == 0).double().reshape(HEIGHT, 4, WIDTH, 4).mean((1, 3)).flatten()
    invalid = torch.stack([torch.zeros_like(holes), holes])
    assert len(holes.unique()) == 5
    found = valid_shares(lambda _encoder, _images: run(fusion, a, b))(None, images)
    head = CHANNELS // HEADS
    for i, (x, y) in enumerate(((a[0], b[0]), (b[0], a[0]))):
        attention = fusion.attention[i]
        w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
        b_q, b_k, b_v = attention.in_proj_bias.chunk(3)
        for n in range(HEIGHT * WIDTH):
            hidden = fusion.fc1(torch.cat([x[n], y[n]]))
            hidden = (
                hidden + invalid[i, n] * fusion.relation_invalid[0] + invalid[1 - i, n] * fusion.relation_invalid[1]
            )
            relation = fusion.fc2(nn.functional.gelu(hidden)).softmax(0)
            q = w_q @ x[n] + b_q
            keys = [w_k @ key + b_k for key in (x[n] + fusion.k_noise[i], x[n] * relation)]
            values = [w_v @ value + b_v for value in (x[n] + fusion.v_noise[i], y[n])]
            mixed = []
            for h in range(HEADS):
                part = slice(h * head, (h + 1) * head)
                scores = torch.stack([q[part] @ key[part] / head**0.5 for key in keys])
                scores = scores + torch.stack([10 * fusion.doubt[i, h] * invalid[1 - i, n], torch.zeros(())])
                weights = scores.softmax(0)
                mixed.append(weights[0] * values[0][part] + weights[1] * values[1][part])
            torch.testing.assert_close(found[i][0, n], x[n] + attention.out_proj(torch.cat(mixed)))


def test_without_holes_the_gated_operator_is_the_papers():
    a, b = tokens()
    gated, paper = operator("gemini_gated"), operator("gemini")
    paper.load_state_dict({name: value for name, value in gated.state_dict().items() if name in paper.state_dict()})
    images = list(torch.randn(2, 2, 3, 5 * HEIGHT, 4 * WIDTH, dtype=torch.double))
    found = valid_shares(lambda _encoder, _images: run(gated, a, b))(None, images)
    for own, expected in zip(found[:2], run(paper, a, b)[:2], strict=True):
        torch.testing.assert_close(own, expected)
    with pytest.raises(RuntimeError, match="outside an encoder"):
        run(gated, a, b)


@pytest.mark.parametrize(("size", "grid"), [((64, 96), (16, 24)), ((76, 100), (10, 13)), ((33, 66), (2, 3))])
def test_shares_of_tokens_at_any_size(size, grid):
    """Of three images the second and third are one stream; a token at the edge counts the pixels that there are."""
    images = [torch.randn(1, 3, *size) for _ in range(3)]
    images[1][:] = 0
    images[2][..., size[1] // 2 :] = 0
    first, further = valid_shares(lambda _encoder, _images: shares_of_tokens(*grid))(None, images)
    assert first.shape == further.shape == (1, grid[0] * grid[1], 1) and bool((first == 1).all())
    kernel = -(-size[1] // grid[1])
    for column in range(grid[1]):
        pixels = range(column * kernel, min((column + 1) * kernel, size[1]))
        expected = sum(x < size[1] // 2 for x in pixels) / len(pixels)
        assert further[0, column, 0].item() == pytest.approx(expected)


def test_token_exchange_replaces_tokens_of_low_score():
    a, b = tokens()
    inputs = tokens(5)
    fusion = operator("token_exchange")
    with torch.no_grad():  # scores on both sides of the threshold
        for predictor in fusion.predictors:
            predictor[-1].weight.mul_(300)
    out_a, out_b, loss = run(fusion, a, b, inputs)
    kept, total = 0, 0.0
    for n in range(HEIGHT * WIDTH):
        scores = [p(x[0, n]).softmax(-1)[0] for p, x in zip(fusion.predictors, inputs, strict=True)]
        scaled = [a[0, n] * scores[0], b[0, n] * scores[1]]
        for i, found in enumerate((out_a, out_b)):
            keep = scores[i] >= 0.02
            kept += int(keep)
            torch.testing.assert_close(found[0, n], scaled[i] if keep else scaled[1 - i])
    assert 0 < kept < 2 * HEIGHT * WIDTH
    for i in range(2):
        total += fusion.predictors[i](inputs[i]).softmax(-1)[..., 0].mean().item()
    assert loss.item() == pytest.approx(total / 2)


def test_blocks_of_a_stage_share_their_score_predictors():
    first, second = FUSIONS["token_exchange"](Site(CHANNELS, 2, 2), 2)
    assert first.predictors is second.predictors


def test_channel_exchange_takes_channels_of_small_scale():
    a, b = tokens()
    norm = ModalityNorm(2, CHANNELS, 1e-6)
    with torch.no_grad():
        norm[0].weight[3] = 0.019
        norm[1].weight[7] = -0.019
        norm[1].weight[8] = 0.02
    out_a, out_b, _ = run(operator("channel_exchange"), a, b, norm=norm)
    for c in range(CHANNELS):
        assert torch.equal(out_a[..., c], b[..., c] if c == 3 else a[..., c])
        assert torch.equal(out_b[..., c], a[..., c] if c == 7 else b[..., c])


def test_shrinking_pushes_disjoint_halves_to_zero():
    norm = ModalityNorm(2, 4, 1e-6)
    for _ in range(3):
        shrink(norm, 0.4)
    assert norm[0].weight.tolist() == [0, 0, 1, 1]
    assert norm[1].weight.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("encoder", "fusion"), COMBINATIONS, ids=lambda v: v if isinstance(v, str) else type(v).__name__
)
def test_an_absent_modality_does_not_swell_the_gradients_of_new_weights(encoder, fusion):
    """A constant token is what LayerNorm divides by the square root of its epsilon."""
    torch.manual_seed(0)
    model = FusionSegmenter(encoder, ("rgb", "depth"), 5, fusion)
    images = [torch.randn(3, 3, 32, 32) for _ in model.modalities]

    def largest_gradient(present):
        model.zero_grad()
        streams = model([image * present[:, i, None, None, None] for i, image in enumerate(images)], present).streams
        asked = [(logits.square().mean((1, 2, 3)) * present[:, i]).sum() for i, logits in enumerate(streams)]
        sum(asked).backward()
        return max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)

    assert largest_gradient(torch.tensor([[1.0, 0], [0, 1], [0, 0]])) < 3 * largest_gradient(torch.ones(3, 2))


def shaken(encoder, fusion):
    torch.manual_seed(0)
    model = FusionSegmenter(encoder, ("rgb", "depth"), 5, fusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, parameter in model.named_parameters():
            if ".norm2." in name and name.endswith("weight") and fusion == "channel_exchange":
                parameter[::3] = 0.01
            if "predictors" in name and name.endswith("7.weight"):  # scores on both sides of the threshold
                parameter.mul_(3000)
        model.decoder.norm.running_var.uniform_(0.5, 2)
    return model.double().eval()


@pytest.mark.parametrize(
    ("encoder", "fusion"), COMBINATIONS, ids=lambda v: v if isinstance(v, str) else type(v).__name__
)
def test_deploy_form_is_exact_and_the_other_stream_counts(encoder, fusion):
    model = shaken(encoder, fusion)
    rgb, depth, other = torch.randn(3, 1, 3, 76, 100, dtype=torch.double)
    with torch.no_grad():
        expected = model([rgb, depth])
        deployed = DeployedSegmenter(model).double()([rgb, depth], torch.ones(2, dtype=torch.double))
        changed = model([rgb, other])
    torch.testing.assert_close(deployed, expected.ensemble, rtol=0, atol=1e-11)
    # The RGB stream sees the other one through fusion alone.
    difference = (expected.streams[0] - changed.streams[0]).abs().max()
    assert (difference == 0) if fusion == "none" else (difference > 1e-3)


def test_stacked_form_is_exact():
    model = shaken(MIT, "gemini")
    images = list(torch.randn(2, 1, 3, 76, 100, dtype=torch.double))
    for present in ([1.0, 1.0], [0.0, 1.0]):
        weights = torch.tensor(present, dtype=torch.double)
        with torch.no_grad():
            expected = model(images, weights[None]).ensemble
            found = DeployedSegmenter(model, stacked=True).double()(images, weights)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("encoder", "fusion"), [(SWIN, "gemini"), (MIT, "none")])
def test_what_cannot_be_stacked_says_so(encoder, fusion):
    with pytest.raises(ValueError, match="stacked deploy form knows"):
        DeployedSegmenter(shaken(encoder, fusion), stacked=True)


def test_operators_that_cannot_work_say_so():
    with pytest.raises(ValueError, match="needs a norm for each modality"):
        FusionSegmenter(SWIN, ("rgb", "depth"), 5, "channel_exchange")
    with pytest.raises(ValueError, match="key_reduction 0"):
        FusionSegmenter(MIT, ("rgb", "depth"), 5, "cross_attention", fusion_options={"key_reduction": 0})
    with pytest.raises(ValueError, match="multiple of 8"):
        FusionSegmenter(MiTConfig((12, 16, 40, 64), (1, 1, 1, 1)), ("rgb", "depth"), 5)
