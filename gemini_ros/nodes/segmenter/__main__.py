"""``python -m gemini_ros.nodes.segmenter``: the executable ``segmenter``."""

from gemini_ros.nodes.segmenter.node import main

main()
