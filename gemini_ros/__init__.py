"""RGB plus depth or thermal semantic segmentation for ROS 2: two cameras in, labels and a costmap out."""

__version__ = "0.1.0"
