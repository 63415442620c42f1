"""The language branch in deploy form: one frame, probabilities, nothing for a phrase that is not there."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.language.maps import PlainMaps


class DeployedLanguage(nn.Module):
    """Maps of one frame, phrases float32 (P, T, 384) and their mask (P, T) -> the three outputs of a model file.

    Probability uint8 (P, h/4, w/4), presence float32 (P,) and counts float32 (P, 6). All are 0 where a mask's row is.
    """

    def __init__(self, branch: LanguageBranch) -> None:
        super().__init__()
        self.branch = copy.deepcopy(branch).eval()
        _fold(self.branch)

    def forward(self, maps: PlainMaps, phrases: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.branch(maps, phrases[None], mask[None])
        asked = mask.amax(1)
        probability = found.masks[0].sigmoid() * asked[:, None, None]
        # uint8 is an output type only for TensorRT: the cast goes through float32.
        quantised = (probability * 255 + 0.5).floor().to(torch.uint8)
        return quantised, found.present[0].sigmoid() * asked, found.count[0].softmax(-1) * asked[:, None]


@torch.no_grad()
def _fold(branch: LanguageBranch) -> None:
    """The norm of the pixels into the convolutions in front of it, which are summed: each is scaled, one is shifted."""
    norm = branch.pixel_norm
    assert norm.running_mean is not None and norm.running_var is not None
    sources = (branch.from_fine, branch.from_middle, branch.from_third, branch.from_fourth)
    for index, conv in enumerate(sources):
        nothing = torch.zeros_like(norm.running_mean)
        mean, shift = (norm.running_mean, norm.bias) if index == 0 else (nothing, nothing)
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, mean, norm.running_var, norm.eps, norm.weight, shift
        )
        conv.weight, conv.bias = weight, bias
    branch.pixel_norm = nn.Identity()  # type: ignore[assignment]
