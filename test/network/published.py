"""Weights in the layouts of others, written down from their published tables, with random numbers in them."""

from __future__ import annotations

import torch

from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig

Shapes = dict[str, tuple[int, ...]]


def random_weights(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Numbers as small as trained ones; what counts, whole numbers."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.zeros(shape, dtype=torch.int64)
        if name.endswith(("relative_position_index", "num_batches_tracked"))
        else torch.rand(shape, generator=generator) * 0.2 + (0.9 if "norm" in name and "weight" in name else -0.1)
        if not name.endswith("running_var")
        else torch.rand(shape, generator=generator) + 0.5
        for name, shape in shapes.items()
    }


def official_shapes(config: MiTConfig | SwinConfig, classes: int) -> Shapes:
    """A GeminiFusion state dict, without the leading ``module.``."""
    encoder = _official_mit(config) if isinstance(config, MiTConfig) else _official_swin(config)
    shapes: Shapes = {"alpha": (2,), **encoder}
    for stage, width in enumerate(config.widths, start=1):
        shapes |= _linear(f"decoder.linear_c{stage}.proj", width, 256)
    shapes["decoder.linear_fuse.conv.weight"] = (256, 1024, 1, 1)
    for name in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"decoder.linear_fuse.bn.{name}"] = (256,)
    shapes["decoder.linear_fuse.bn.num_batches_tracked"] = ()
    return shapes | {"decoder.linear_pred.weight": (classes, 256, 1, 1), "decoder.linear_pred.bias": (classes,)}


def deliver_shapes(config: MiTConfig, classes: int, modalities: int, width: int = 512) -> Shapes:
    """A state dict of the branch for DeLiVER: patches have a norm, and with more than two a score net, for each."""
    shapes: Shapes = {}
    for name, shape in official_shapes(config, classes).items():
        name = name.replace("encoder.", "backbone.", 1).replace("decoder.", "decode_head.", 1)
        if name.startswith("decode_head."):
            shape = tuple({256: width, 1024: 4 * width}.get(n, n) for n in shape[:2]) + shape[2:]
        shapes[name] = shape
        if "patch_embed" in name and "ln_1" in name:
            shapes |= {name.replace("ln_1", f"ln_{m}"): shape for m in range(2, modalities)}
    for stage, channels in enumerate(config.widths):
        for i in range(modalities if modalities > 2 else 0):
            net = f"backbone.extra_score_predictor.{stage}.score_nets.{i}"
            shapes |= {f"{net}.0.weight": (channels, 1, 3, 3), f"{net}.0.bias": (channels,)}
            shapes |= {f"{net}.1.weight": (1, channels, 1, 1), f"{net}.1.bias": (1,)}
    return shapes


def nvlabs_shapes(config: MiTConfig) -> Shapes:
    """``mit_b*.pth``: an ImageNet classifier."""
    shapes: Shapes = {}
    for name, shape in _official_mit(config).items():
        if not any(part in name for part in ("cross_attn", "relation_judger", "_noise", "ln_1")):
            shapes[name.removeprefix("encoder.").replace(".module.", ".").replace(".ln_0.", ".")] = shape
    return shapes | _linear("head", config.widths[3], 1000)


def microsoft_shapes(config: SwinConfig) -> Shapes:
    """``swin_*.pth``, what is under its key ``model``: an ImageNet classifier."""
    shapes: Shapes = {}
    for name, shape in _official_swin(config).items():
        if any(part in name for part in ("cross_attn", "relation_judger", "_noise", "ln_1", "body.norm")):
            continue
        shapes[name.removeprefix("encoder.body.").replace(".module.", ".").replace(".ln_0.", ".")] = shape
    shapes["layers.0.blocks.1.attn_mask"] = (64, config.window**2, config.window**2)
    return shapes | _norm("norm", config.widths[3]) | _linear("head", config.widths[3], 1000)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _norms(name: str, width: int) -> Shapes:
    return _norm(f"{name}.ln_0", width) | _norm(f"{name}.ln_1", width)


def _fusion(prefix: str, width: int) -> Shapes:
    shapes: Shapes = {}
    for direction in ("0_to_1", "1_to_0"):
        name = f"{prefix}.cross_attn_{direction}"
        shapes |= {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{name}.out_proj", width, width)
    shapes |= _linear(f"{prefix}.relation_judger.0.fc1", 2 * width, width)
    shapes |= _linear(f"{prefix}.relation_judger.0.fc2", width, width)
    return shapes | {f"{prefix}.{kind}_noise.weight": (2, width) for kind in "kv"}


def _official_mit(config: MiTConfig) -> Shapes:
    shapes: Shapes = {}
    inputs = (3, *config.widths)
    for stage, (width, depth, reduction) in enumerate(zip(config.widths, config.depths, (8, 4, 2, 1), strict=True), 1):
        side = 7 if stage == 1 else 3
        embed = f"encoder.patch_embed{stage}"
        shapes |= {f"{embed}.proj.module.weight": (width, inputs[stage - 1], side, side)}
        shapes |= {f"{embed}.proj.module.bias": (width,), **_norms(f"{embed}.norm", width)}
        for i in range(depth):
            block = f"encoder.block{stage}.{i}"
            shapes |= _norms(f"{block}.norm1", width) | _norms(f"{block}.norm2", width)
            shapes |= _linear(f"{block}.attn.q.module", width, width)
            shapes |= _linear(f"{block}.attn.kv.module", width, 2 * width)
            shapes |= _linear(f"{block}.attn.proj.module", width, width)
            if reduction > 1:
                shapes |= {f"{block}.attn.sr.module.weight": (width, width, reduction, reduction)}
                shapes |= {f"{block}.attn.sr.module.bias": (width,), **_norms(f"{block}.attn.norm", width)}
            shapes |= _fusion(f"{block}.attn", width)
            shapes |= _linear(f"{block}.mlp.fc1.module", width, 4 * width)
            shapes |= _linear(f"{block}.mlp.fc2.module", 4 * width, width)
            shapes |= {f"{block}.mlp.dwconv.dwconv.weight": (4 * width, 1, 3, 3)}
            shapes |= {f"{block}.mlp.dwconv.dwconv.bias": (4 * width,)}
        shapes |= _norms(f"encoder.norm{stage}", width)
    return shapes


def _official_swin(config: SwinConfig) -> Shapes:
    body = "encoder.body"
    shapes: Shapes = {f"{body}.patch_embed.proj.module.weight": (config.embed, 3, 4, 4)}
    shapes |= {
        f"{body}.patch_embed.proj.module.bias": (config.embed,),
        **_norms(f"{body}.patch_embed.norm", config.embed),
    }
    for stage, (width, depth, heads) in enumerate(zip(config.widths, config.depths, config.heads, strict=True)):
        for i in range(depth):
            block = f"{body}.layers.{stage}.blocks.{i}"
            attention = f"{block}.attn.module"
            shapes |= _norm(f"{block}.norm1.module", width) | _norm(f"{block}.norm2.module", width)
            shapes[f"{attention}.relative_position_bias_table"] = ((2 * config.window - 1) ** 2, heads)
            shapes[f"{attention}.relative_position_index"] = (config.window**2, config.window**2)
            shapes |= _linear(f"{attention}.qkv", width, 3 * width) | _linear(f"{attention}.proj", width, width)
            shapes |= _linear(f"{block}.mlp.fc1.module", width, 4 * width)
            shapes |= _linear(f"{block}.mlp.fc2.module", 4 * width, width)
            shapes |= _fusion(block, width)
        if stage < 3:
            merge = f"{body}.layers.{stage}.downsample.module"
            shapes |= {f"{merge}.reduction.weight": (2 * width, 4 * width), **_norm(f"{merge}.norm", 4 * width)}
        shapes |= _norms(f"{body}.norm{stage}", width)
    return shapes
