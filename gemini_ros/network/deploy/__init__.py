"""The deploy form: the trained network folded for inference, and wrapped into the model-file contract.

All rewritings are exact (tested to rounding): the two-key attention as a sigmoid, the attention scale inside the query
projection, both output projections merged, constants for the noise rows, tokens as (N, C) without a batch, MiT's MLP as
1x1 convolutions, the decoder as four convolutions at the stages' own resolutions with its BatchNorm folded in.
"""

from gemini_ros.network.deploy.graph import DeployedSegmenter, ModelFile

__all__ = ["DeployedSegmenter", "ModelFile"]
