"""Names of the official GeminiFusion checkpoints, MiT and Swin, and how they map to this network's.

There are two layouts: that of the main branch, and that of the branch for DeLiVER, which takes two to four modalities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig
from gemini_ros.network.model import FusionSegmenter

PREFIX = "module."  # of every name in a checkpoint of the main branch
DELIVER = "backbone."  # begins the names of the encoder's weights in checkpoints of the branch for DeLiVER
_STREAM = r"\.ln_(\d)\."
_SCORES = r"backbone\.extra_score_predictor"
_BLOCK = r"^encoder\.block(\d)\.(\d+)\."
# Applied in order to a name without its leading "module."; stages count from 1 there and from 0 here.
_RULES = (
    (rf"^{re.escape(DELIVER)}", "encoder."),
    (r"^decode_head\.", "decoder."),
    (r"^encoder\.extra_score_predictor\.(\d)\.score_nets\.", r"encoder.stages.\1.scores."),
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
    encoder, decoder = _prefixes(weights)
    classes = _shape(weights, f"{decoder}linear_pred.weight", 4)[0]
    if f"{encoder}patch_embed1.proj.module.weight" in weights:
        a, b, c, d = (_shape(weights, f"{encoder}patch_embed{s}.proj.module.weight", 4)[0] for s in (1, 2, 3, 4))
        return MiTConfig((a, b, c, d), _depths(weights, rf"^{encoder}block(\d)\.(\d+)\.", first=1)), classes
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


def count_modalities(weights: Mapping[str, Tensor]) -> int:
    """How many modalities official weights are of: patches have a norm for each."""
    norms = re.compile(r"^(encoder|backbone)\.(body\.)?patch_embed1?\.norm\.ln_(\d+)\.")
    return len({match[3] for name in weights if (match := norms.match(name))})


def official_network(weights: Mapping[str, Tensor], modalities: Sequence[str]) -> FusionSegmenter:
    """The network of official weights in evaluation mode, ``modalities`` named in the order of its own.

    Raises ``ValueError`` for another number of modalities, and as ``load_official``.
    """
    config, classes = read_architecture(weights)
    if (count := count_modalities(weights)) != len(modalities):
        raise ValueError(f"weights of {count} modalities, expected those of {len(modalities)}: {', '.join(modalities)}")
    width = _shape(weights, f"{_prefixes(weights)[1]}linear_pred.weight", 4)[1]
    network = FusionSegmenter(config, tuple(modalities), classes, decoder_width=width)
    load_official(network, weights)
    return network.eval()


def _prefixes(weights: Mapping[str, Tensor]) -> tuple[str, str]:
    """How the names of encoder and decoder begin in the layout of these weights."""
    return (DELIVER, "decode_head.") if is_deliver(weights) else ("encoder.", "decoder.")


def is_deliver(weights: Mapping[str, object]) -> bool:
    """Whether these are weights of the branch for DeLiVER."""
    return any(str(name).removeprefix(PREFIX).startswith(DELIVER) for name in weights)


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights:
        raise ValueError(f"{name}: missing, expected the state dict of a GeminiFusion MiT or Swin")
    shape = tuple(weights[name].shape)
    if len(shape) != dimensions:
        raise ValueError(f"{name}: shape {shape}, expected {dimensions} dimensions")
    return shape


def _depths(weights: Mapping[str, Tensor], pattern: str, first: int) -> tuple[int, ...]:
    """Number of blocks of each stage, from names that ``pattern`` splits into stage (from ``first``) and block.

    Raises ``ValueError`` for a fifth stage, and where a block of a stage is missing.
    """
    blocks: list[set[int]] = [set() for _ in range(4)]
    for name in weights:
        if match := re.match(pattern, name):
            stage = int(match[1]) - first
            if not 0 <= stage < 4:
                raise ValueError(f"{name}: expected the four stages {first} to {first + 3}")
            blocks[stage].add(int(match[2]))
    for stage, found in enumerate(blocks, first):
        # An index alone must not make a network as deep as it says.
        missing = set(range(max(len(found), 1))) - found
        if missing:
            raise ValueError(f"stage {stage}: block {min(missing)} is missing, expected blocks counted from 0 on")
    return tuple(map(len, blocks))


def load_official(model: FusionSegmenter, weights: Mapping[str, Tensor]) -> None:
    """Load official weights strictly. Raises ``ValueError`` naming the first missing or differently shaped key.

    The authors' networks of three and four modalities have a score net in each stage that nothing uses, the last one.
    It alone may be there or not.
    """
    translated = {translate(name): (name, value) for name, value in weights.items() if not _is_dead(model, name)}
    own = model.state_dict()
    for name, value in own.items():
        if name not in translated:
            raise ValueError(f"{name}: missing in the checkpoint, expected shape {tuple(value.shape)}")
        official, found = translated[name]
        if found.shape != value.shape:
            raise ValueError(f"{official}: shape {tuple(found.shape)}, expected {tuple(value.shape)}")
    used = {official for name, (official, _) in translated.items() if name in own}
    if surplus := [name for name in weights if name not in used and not _is_dead(model, name)]:
        raise ValueError(f"{surplus[0]}: not part of this network")
    with torch.no_grad():
        for name, value in own.items():
            # Whole numbers are places in a window, which this network knows itself, and BatchNorm's count of batches.
            if value.is_floating_point():
                value.copy_(translated[name][1])


def _is_dead(model: FusionSegmenter, name: str) -> bool:
    """Whether ``name`` is a weight of the score net that counts the first modality too."""
    last = len(model.modalities) - 1
    return last > 1 and bool(re.fullmatch(rf"{_SCORES}\.[0-3]\.score_nets\.{last}\.[01]\.(weight|bias)", name))
