"""Recorded bags without ROS: read, write, make from images (rosbags)."""
