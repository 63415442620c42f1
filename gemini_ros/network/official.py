"""Names of the official GeminiFusion checkpoints, and how they map to this network's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gemini_ros.network.encoders.mit import MiTConfig

_STREAM = r"\.ln_(\d)\."
_BLOCK = r"^encoder\.block(\d)\.(\d+)\."
# Applied in order to a name without its leading "module."; stages count from 1 there and from 0 here.
_RULES = (
    (r"\.module\.", "."),
    (_STREAM, r".\1."),
    (r"\.attn\.cross_attn_0_to_1\.", ".fusion.attention.0."),
    (r"\.attn\.cross_attn_1_to_0\.", ".fusion.attention.1."),
    (r"\.attn\.relation_judger\.0\.", ".fusion."),
    (r"\.attn\.([kv]_noise)\.weight$", r".fusion.\1"),
    (r"\.dwconv\.dwconv\.", ".dwconv."),
    (r"^decoder\.linear_fuse\.conv\.", "decoder.fuse."),
    (r"^decoder\.linear_fuse\.bn\.", "decoder.norm."),
    (r"^decoder\.linear_pred\.", "decoder.predict."),
)


def translate(name: str) -> str:
    """This network's name for a parameter of the official one (MiT)."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    name = re.sub(_BLOCK, lambda m: f"encoder.stages.{int(m[1]) - 1}.blocks.{m[2]}.", name)
    name = re.sub(r"^encoder\.patch_embed(\d)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.embed.", name)
    name = re.sub(r"^encoder\.norm(\d)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.norm.", name)
    return re.sub(r"^decoder\.linear_c(\d)\.proj\.", lambda m: f"decoder.linear.{int(m[1]) - 1}.", name)


def read_architecture(weights: Mapping[str, Tensor]) -> tuple[MiTConfig, int]:
    """MiT configuration and number of classes, read off the official names and shapes."""
    if "encoder.patch_embed1.proj.module.weight" not in weights:
        raise ValueError(
            "no encoder.patch_embed1.proj.module.weight among the weights: expected a GeminiFusion MiT state dict"
        )
    widths = tuple(weights[f"encoder.patch_embed{s}.proj.module.weight"].shape[0] for s in (1, 2, 3, 4))
    depths = [0, 0, 0, 0]
    for name in weights:
        if match := re.match(_BLOCK, name):
            stage, block = int(match[1]) - 1, int(match[2])
            depths[stage] = max(depths[stage], block + 1)
    return MiTConfig(widths, tuple(depths)), weights["decoder.linear_pred.weight"].shape[0]


def load_official(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load official weights strictly. Raises ``ValueError`` naming the first missing or differently shaped key."""
    translated = {translate(name): (name, value) for name, value in weights.items()}
    own = model.state_dict()
    for name, value in own.items():
        if name not in translated:
            raise ValueError(f"{name}: missing in the checkpoint, expected shape {tuple(value.shape)}")
        official, found = translated[name]
        if found.shape != value.shape:
            raise ValueError(f"{official}: shape {tuple(found.shape)}, expected {tuple(value.shape)}")
    if surplus := [official for name, (official, _) in translated.items() if name not in own]:
        raise ValueError(f"{surplus[0]}: not part of this network")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(translated[name][1])
