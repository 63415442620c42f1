#!/bin/bash
# The workspace's setup brings that of ROS with it.
set -e
# shellcheck source=/dev/null
source /opt/gemini_ros/install/setup.bash
exec "$@"
