"""Fusion operators: how two streams of tokens exchange what they know, one file each, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from gemini_ros.network.fusion.channel_exchange import ChannelExchange
from gemini_ros.network.fusion.cross_attention import CrossAttention
from gemini_ros.network.fusion.gemini import GatedGemini, GeminiFusion
from gemini_ros.network.fusion.operator import FusionOperator, Site
from gemini_ros.network.fusion.simple import Concat, NoFusion, Sum, Swap
from gemini_ros.network.fusion.token_exchange import make_token_exchange

__all__ = ["FUSIONS", "FusionOperator", "Site", "StageFusions", "stage_fusions"]

# The operators of the blocks of one stage, in order.
StageFusions = Callable[[Site, int], list[FusionOperator]]


def _each_its_own(operator: Callable[..., FusionOperator]) -> Callable[..., list[FusionOperator]]:
    return lambda site, blocks, **options: [operator(site, **options) for _ in range(blocks)]


FUSIONS: Mapping[str, Callable[..., list[FusionOperator]]] = MappingProxyType(
    {
        "gemini": _each_its_own(GeminiFusion),
        "gemini_gated": _each_its_own(GatedGemini),
        "cross_attention": _each_its_own(CrossAttention),
        "token_exchange": make_token_exchange,
        "channel_exchange": _each_its_own(ChannelExchange),
        "concat": _each_its_own(Concat),
        "sum": _each_its_own(Sum),
        "none": _each_its_own(NoFusion),
        "swap": _each_its_own(Swap),
    }
)


def stage_fusions(name: str, options: Mapping[str, Any] | None = None) -> StageFusions:
    """The maker of an operator by name, with its options. Raises ``ValueError`` for an unknown name."""
    if name not in FUSIONS:
        raise ValueError(f"fusion {name!r}, expected one of {', '.join(FUSIONS)}")
    return lambda site, blocks: FUSIONS[name](site, blocks, **(options or {}))
