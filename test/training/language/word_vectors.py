"""A text encoder for tests that need none of the language."""

from __future__ import annotations

import hashlib

import numpy as np

from gemini_ros.core.phrase_maps import MOST_PIECES, TEXT_WIDTH


class WordVectors:
    """A vector for each word, and for its place: enough to tell sentences apart."""

    def fits(self, text: str) -> bool:
        return len(text.split()) <= MOST_PIECES

    def features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        phrases, mask = np.zeros((MOST_PIECES, TEXT_WIDTH), np.float32), np.zeros(MOST_PIECES, np.float32)
        for row, word in enumerate(text.rstrip("?").split()[:MOST_PIECES]):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            phrases[row], mask[row] = np.random.default_rng(seed).normal(0, 0.5, TEXT_WIDTH), 1
        return phrases, mask

    def sentence(self, text: str) -> np.ndarray:
        mean = self.features(text)[0].sum(0)
        return mean / np.linalg.norm(mean)
