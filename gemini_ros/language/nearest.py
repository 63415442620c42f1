"""A noun that the vocabulary lacks, by the meaning of its words: the known noun that is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gemini_ros.language.encoder import TextEncoder
from gemini_ros.language.words import Words


@dataclass
class NearestNoun:
    """Maps a noun to a name of ``words.nouns``: that of the seen word whose embedding is most similar (cosine)."""

    encoder: TextEncoder
    words: Words
    _table: tuple[list[str], npt.NDArray[np.float32]] | None = field(default=None, init=False)

    def __call__(self, noun: str) -> str:
        return self.ranked(noun)[0][0]

    def ranked(self, noun: str) -> list[tuple[str, float]]:
        """All nouns with their similarity to this one, the nearest first."""
        if self._table is None:
            owned = [(owner.name, word) for owner in self.words.nouns.values() for word in owner.words]
            vectors = np.stack([self.encoder.sentence(word) for _, word in owned])
            self._table = [name for name, _ in owned], vectors
        names, vectors = self._table
        best: dict[str, float] = {}
        for name, similarity in zip(names, (vectors @ self.encoder.sentence(noun)).tolist(), strict=True):
            best[name] = max(similarity, best.get(name, -1.0))
        return sorted(best.items(), key=lambda entry: -entry[1])
