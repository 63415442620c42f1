"""The all-MLP decoder of SegFormer (arXiv:2105.15203), shared by the streams."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 256


class MlpDecoder(nn.Module):
    """Four maps of one stream -> logits (B, classes, H/4, W/4).

    A 1x1 convolution commutes with bilinear upsampling, so each stage's slice of ``fuse`` is applied at the stage's own
    resolution: the same numbers as concatenating at 1/4 resolution, for a fraction of the work.
    """

    def __init__(self, widths: Sequence[int], classes: int, dropout: float = 0.1, width: int = WIDTH) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(inputs, width) for inputs in widths)
        self.fuse = nn.Conv2d(width * len(widths), width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.predict = nn.Conv2d(width, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.predict(self.dropout(self.features(features)))

    def features(self, features: list[Tensor]) -> Tensor:
        """What the prediction is made of, (B, width, H/4, W/4), before the dropout."""
        size = features[0].shape[2:]
        # The official order of the concatenation is c4, c3, c2, c1.
        slices = list(reversed(self.fuse.weight.chunk(len(features), dim=1)))
        total = None
        for feature, linear, weight in zip(features, self.linear, slices, strict=True):
            folded = weight.flatten(1)
            x = F.conv2d(feature, (folded @ linear.weight)[..., None, None], folded @ linear.bias)
            if x.shape[2:] != size:
                x = F.interpolate(x, size, mode="bilinear", align_corners=False)
            total = x if total is None else total + x
        return F.relu(self.norm(total))
