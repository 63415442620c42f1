"""Phrases about what a robot sees: their words, questions from simulated scenes, rules that answer, a text encoder."""
