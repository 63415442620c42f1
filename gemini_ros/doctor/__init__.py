"""``gemini-ros doctor``: what is wrong with this machine and this ROS graph, and what to do next. Without rclpy."""
