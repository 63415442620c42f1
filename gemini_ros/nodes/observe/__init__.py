"""Look at a running ROS graph from outside: what the doctor judges, what the demonstration shows."""
