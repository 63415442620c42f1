"""The dual-supervised semantic mapping loss (arXiv:2504.09925, sec. 3.3): images and words map onto each other."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gemini_ros.network.language.guided import Guided, GuidedEncoder


def mapping_loss(encoder: GuidedEncoder, guided: Guided, phrases: Tensor, mask: Tensor) -> Tensor:
    """Mean of 1 - cos of words behind the encoder mapped back onto what they were, and of pixels there and back.

    The pixels' target is not trained by it. Without text in the encoder the first part is absent. ``phrases``
    (B, P, T, 384), ``mask`` (B, P, T); the result is a scalar.
    """
    pixels = guided.fourth.flatten(2).transpose(1, 2)
    there_and_back = encoder.image_of_text(encoder.text_of_image(pixels))
    loss = 1 - F.cosine_similarity(there_and_back, guided.patches.detach(), dim=-1).mean()
    if guided.text is None:
        return loss
    words = 1 - F.cosine_similarity(encoder.text_of_image(guided.text), phrases.flatten(1, 2), dim=-1)
    counted = mask.flatten(1)
    return loss + (words * counted).sum() / counted.sum().clamp_min(1)
