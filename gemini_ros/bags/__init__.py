"""Recorded bags without ROS: read, write, make from images, label images by their stamps (rosbags)."""
