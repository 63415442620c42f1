# The demo on an x86-64 machine without ROS, a GPU or Python: ten seconds of a warehouse through the live node, with Fast
# DDS between its processes. From the folder of the repository:
#     docker build --file docker/demo.Dockerfile --tag gemini_ros:demo .
#     mkdir -p demo_output
#     docker run --rm --shm-size 512m --user "$(id -u):$(id -g)" --volume "$PWD/demo_output:/out" gemini_ros:demo
# Linted, and compared with the package by the tests; never built so far.
FROM python:3.12-slim-bookworm

# ROS 2 Jazzy, ONNX Runtime and OpenCV come as wheels that bring their libraries, in the versions that are tested.
WORKDIR /opt/gemini_ros
COPY constraints/tested.txt constraints/tested.txt
COPY package.xml setup.py setup.cfg pyproject.toml LICENSE README.md ./
COPY resource resource
COPY config config
COPY launch launch
COPY models models
COPY demo demo
COPY gemini_ros gemini_ros
RUN python -m pip install --no-cache-dir --constraint constraints/tested.txt ".[demo]"

# Whoever runs it: logs and caches go where every user may write. The segments of config/fastdds.xml want --shm-size.
ENV HOME=/tmp \
    ROS_LOG_DIR=/tmp/ros_log \
    PYTHONUNBUFFERED=1
WORKDIR /out
USER 1000:1000
ENTRYPOINT ["gemini-ros"]
CMD ["demo", "--out", "/out"]
