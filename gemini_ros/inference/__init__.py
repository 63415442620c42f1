"""Run a model file: ``load_segmenter(path)`` gives a ``Segmenter`` whatever the machine has."""

from gemini_ros.core.files import sha256_of
from gemini_ros.inference.load import load_segmenter
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import Segmenter

__all__ = ["ModelError", "Segmenter", "load_segmenter", "read_model_info", "sha256_of"]
