"""Bags and ROS: play one into the graph, record one from it."""
