"""Names of the official GeminiFusion checkpoints, MiT and Swin, and how they map to this network's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig

_STREAM = r"\.ln_(\d)\."
_BLOCK = r"^encoder\.block(\d)\.(\d+)\."
# Applied in order to a name without its leading "module."; stages count from 1 there and from 0 here.
_RULES = (
    (r"\.module\.", "."),
    (_STREAM, r".\1."),
    (r"^(encoder\.block.*)\.attn\.(cross_attn|relation_judger|[kv]_noise)", r"\1.\2"),
    (r"\.cross_attn_0_to_1\.", ".fusion.attention.0."),
    (r"\.cross_attn_1_to_0\.", ".fusion.attention.1."),
    (r"\.relation_judger\.0\.", ".fusion."),
    (r"\.([kv]_noise)\.weight$", r".fusion.\1"),
    (r"\.dwconv\.dwconv\.", ".dwconv."),
    (r"^encoder\.body\.norm(\d)\.", r"encoder.norms.\1."),
    (r"^encoder\.body\.", "encoder."),
    (r"^decoder\.linear_fuse\.conv\.", "decoder.fuse."),
    (r"^decoder\.linear_fuse\.bn\.", "decoder.norm."),
    (r"^decoder\.linear_pred\.", "decoder.predict."),
)


def translate(name: str) -> str:
    """This network's name for a parameter of the official one."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    name = re.sub(_BLOCK, lambda m: f"encoder.stages.{int(m[1]) - 1}.blocks.{m[2]}.", name)
    name = re.sub(r"^encoder\.patch_embed(\d)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.embed.", name)
    name = re.sub(r"^encoder\.norm(\d)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.norm.", name)
    return re.sub(r"^decoder\.linear_c(\d)\.proj\.", lambda m: f"decoder.linear.{int(m[1]) - 1}.", name)


def read_architecture(weights: Mapping[str, Tensor]) -> tuple[MiTConfig | SwinConfig, int]:
    """Encoder configuration and number of classes, read off the official names and shapes."""
    classes = _shape(weights, "decoder.linear_pred.weight", 4)[0]
    if "encoder.patch_embed1.proj.module.weight" in weights:
        a, b, c, d = (_shape(weights, f"encoder.patch_embed{s}.proj.module.weight", 4)[0] for s in (1, 2, 3, 4))
        return MiTConfig((a, b, c, d), _depths(weights, _BLOCK, first=1)), classes
    if "encoder.body.patch_embed.proj.module.weight" in weights:
        table = "encoder.body.layers.{}.blocks.0.attn.module.relative_position_bias_table"
        places, _ = _shape(weights, table.format(0), 2)
        a, b, c, d = (_shape(weights, table.format(s), 2)[1] for s in range(4))
        return SwinConfig(
            embed=_shape(weights, "encoder.body.patch_embed.proj.module.weight", 4)[0],
            depths=_depths(weights, r"^encoder\.body\.layers\.(\d)\.blocks\.(\d+)\.", first=0),
            heads=(a, b, c, d),
            window=(math.isqrt(places) + 1) // 2,
        ), classes
    raise ValueError("neither encoder.patch_embed1 nor encoder.body.patch_embed: expected a GeminiFusion MiT or Swin")


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights:
        raise ValueError(f"{name}: missing, expected the state dict of a GeminiFusion MiT or Swin")
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions:
        raise ValueError(f"{name}: shape {shape}, expected {dimensions} dimensions")
    return shape


def _depths(weights: Mapping[str, Tensor], pattern: str, first: int) -> tuple[int, ...]:
    """Number of blocks of each stage, from names that ``pattern`` splits into stage (from ``first``) and block."""
    depths = [0, 0, 0, 0]
    for name in weights:
        if match := re.match(pattern, name):
            stage = int(match[1]) - first
            if not 0 <= stage < 4:
                raise ValueError(f"{name}: expected the four stages {first} to {first + 3}")
            depths[stage] = max(depths[stage], int(match[2]) + 1)
    return tuple(depths)


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
            # Whole numbers are places in a window, which this network knows itself, and BatchNorm's count of batches.
            if value.is_floating_point():
                value.copy_(translated[name][1])
