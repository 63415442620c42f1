"""What a frame is and all that is done to one: numpy, OpenCV and PyYAML; never ROS, never torch."""
