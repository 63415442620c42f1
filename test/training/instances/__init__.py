"""Tests of the training of the head that tells single things apart."""
