"""Start an encoder from weights trained on ImageNet, as their authors publish them.

MiT: NVlabs ``mit_b*.pth``. Swin: Microsoft ``swin_*.pth``. Each LayerNorm is copied to every modality; fusion, scores,
decoder and what a classifier does not have keep their initialisation.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict
from gemini_ros.network.encoders.swin import SwinTransformer
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.network.model import FusionSegmenter

# A classifier's own, and tables that follow from the size of a window.
_DROPPED = re.compile(r"^head\.|\.relative_position_index$|\.attn_mask$")
# The only norm behind a stage that a Swin classifier has is the last one.
_SWIN_STAGE_NORMS = re.compile(r"^norms\.[012]\.")


def load_imagenet(model: FusionSegmenter, path: Path) -> None:
    """Copy published ImageNet weights into the encoder of ``model``.

    Raises ``ValueError`` naming the first weight that is missing, has another shape or has no place in the encoder.
    """
    data = read_checkpoint(path)
    published = require_state_dict(data.get("model", data), str(path))
    swin = isinstance(model.encoder, SwinTransformer)
    own = _sources(model.encoder, swin)
    for name, source in own.items():
        expected = tuple(model.encoder.get_parameter(name).shape)
        if source not in published:
            raise ValueError(
                f"{path}: {source} is missing, expected shape {expected}; needed are weights of this encoder, "
                + ("in Microsoft's layout of Swin" if swin else "in NVlabs' layout of MiT")
            )
        if (found := tuple(published[source].shape)) != expected:
            raise ValueError(f"{path}: {source} has shape {found}, expected {expected}: another size of encoder")
    used = set(own.values())
    if surplus := [name for name in published if name not in used and not _DROPPED.search(name)]:
        raise ValueError(f"{path}: {surplus[0]} has no place in this encoder: another size of encoder")
    with torch.no_grad():
        for name, source in own.items():
            model.encoder.get_parameter(name).copy_(published[source])


def _sources(encoder: nn.Module, swin: bool) -> dict[str, str]:
    """For each parameter of the encoder that a classifier has too, its name in the published file."""
    norms = {name for name, module in encoder.named_modules() if isinstance(module, ModalityNorm)}
    published = _swin_name if swin else _mit_name
    sources = {}
    for name, _ in encoder.named_parameters():
        if ".fusion." in name or ".scores." in name or (swin and _SWIN_STAGE_NORMS.match(name)):
            continue
        head, _, last = name.rpartition(".")
        norm = head.rpartition(".")[0]
        sources[name] = published(f"{norm}.{last}" if norm in norms else name)
    return sources


def _swin_name(name: str) -> str:
    return re.sub(r"^norms\.3\.", "norm.", name)


def _mit_name(name: str) -> str:
    """Stages count from 1 in the published names."""
    name = name.replace(".dwconv.", ".dwconv.dwconv.")
    name = re.sub(r"^stages\.(\d)\.blocks\.", lambda m: f"block{int(m[1]) + 1}.", name)
    name = re.sub(r"^stages\.(\d)\.embed\.", lambda m: f"patch_embed{int(m[1]) + 1}.", name)
    return re.sub(r"^stages\.(\d)\.norm\.", lambda m: f"norm{int(m[1]) + 1}.", name)
