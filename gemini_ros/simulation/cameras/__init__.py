"""How a scene is seen: MuJoCo, light, viewpoints, and the sensors that turn a rendered image into a measured one.

What stands in a scene is decided in ``scenes``; what moves over time, in ``simulation.drive``.
"""
