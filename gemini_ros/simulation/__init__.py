"""Procedural warehouses in MuJoCo: RGB, depth, thermal, labels and poses of drives through them."""
