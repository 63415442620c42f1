"""Bags through the pipeline without ROS: pairs, segmenter, costmap, scores, and what they decide."""
