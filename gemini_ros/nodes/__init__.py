"""The pipeline as ROS 2 processes: segmenter, player, recorder; the only room that imports rclpy."""
