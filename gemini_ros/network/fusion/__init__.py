"""Fusion operators: how two streams of tokens exchange what they know, one file each."""
