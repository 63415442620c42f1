"""Encoders that walk several modalities through shared weights."""
