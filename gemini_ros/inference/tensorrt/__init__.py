"""TensorRT: engines built from a model file, and run. One code for TensorRT 10.3 to 11.x; not yet run on hardware."""
