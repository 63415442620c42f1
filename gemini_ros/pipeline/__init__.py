"""The way of the data, once: from a message to labels and a map, with every drop counted where it happens.

The live node (``nodes``) adds threads and publishers, the walk through a bag the order of a recording. Neither has a
second copy of a rule, a default or an error sentence. No ROS, no torch, no thread of its own.
"""
