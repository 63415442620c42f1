"""Train the network with Lightning and turn checkpoints into model files."""
