"""What stands where: rooms, furniture and people made from a seed, as plain data with labels and temperatures.

Needs numpy and OpenCV alone. Cameras, light levels, MuJoCo and images of a scene belong to ``cameras``.
"""
