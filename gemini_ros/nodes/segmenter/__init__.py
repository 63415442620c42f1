"""The node ``segmenter``: threads, subscriptions and publishers around ``gemini_ros.pipeline``.

A rule of what becomes of a message, an image or a map does not belong here: the walk through a bag needs it too.
"""

from gemini_ros.nodes.segmenter.node import SegmenterNode, main

__all__ = ["SegmenterNode", "main"]
