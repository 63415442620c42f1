"""A bag through the pipeline without ROS: pairs, segmenter, costmap, scores."""
