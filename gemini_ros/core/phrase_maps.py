"""What a model that takes phrases is given, and what it says of each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

MOST_PHRASES = 4
MOST_PIECES = 16
"""Word pieces of a phrase, with the two marks that begin and end it."""
TEXT_WIDTH = 384
COUNTS = 6
"""Classes of a count: 0 to 4, and 5 or more."""
PHRASE_INPUTS = ("phrases", "phrase_mask")
PHRASE_OUTPUTS = ("phrase_prob", "phrase_present", "phrase_count")
SHARE_OF_BEST = 0.4
"""Chosen on scenes of the training: of 0.2 to 0.6 it gave the best masks, 0.03 of IoU above a half of 255."""
_LEAST_PROB = 12.0  # of 255, below which nothing is shown


@dataclass(frozen=True)
class PhraseInputs:
    """Encoded phrases in the order of ``texts``, by the text encoder whose weights have the SHA-256 ``encoder``.

    ``phrases`` float32 (n, pieces, 384), ``mask`` float32 (n, pieces) of ones and then zeros.
    """

    texts: tuple[str, ...]
    encoder: str
    phrases: npt.NDArray[np.float32]
    mask: npt.NDArray[np.float32]

    def padded(self, count: int, pieces: int) -> dict[str, np.ndarray]:
        """The model file's two inputs for ``count`` phrases of ``pieces`` word pieces; rows without a phrase are zero.

        Raises ``ValueError`` for more phrases, or for features of another shape.
        """
        number = len(self.texts)
        if number > count or self.phrases.shape != (number, pieces, TEXT_WIDTH):
            raise ValueError(
                f"{number} phrases {self.phrases.shape}, expected at most {count} of ({pieces}, {TEXT_WIDTH}) each"
            )
        inputs = no_phrases(count, pieces)
        inputs["phrases"][:number], inputs["phrase_mask"][:number] = self.phrases, self.mask
        return inputs


@dataclass(frozen=True)
class PhraseMaps:
    """What a model says of phrases, in the order of ``texts``.

    ``prob`` uint8 (n, h, w): round(255 p) that a phrase means the place, at a quarter of the network's size.
    ``present`` float32 (n,): how probable it is that anything is there. ``count`` float32 (n, 6): how probable 0 to 4,
    and 5 or more, are.
    """

    texts: tuple[str, ...]
    prob: npt.NDArray[np.uint8]
    present: npt.NDArray[np.float32]
    count: npt.NDArray[np.float32]

    def mask(self, row: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """bool (H, W) of an image of ``size`` (width, height): what a phrase means, if it is there at all.

        That is where it is at least ``SHARE_OF_BEST`` times as probable as at its best place: a network that cannot
        choose between two things is unsure of both, and still shows where they are.
        """
        prob = self.prob[row]
        least = max(SHARE_OF_BEST * float(prob.max()), _LEAST_PROB)
        return cv2.resize(prob, size, interpolation=cv2.INTER_LINEAR) > least


def no_phrases(count: int, pieces: int) -> dict[str, np.ndarray]:
    """The model file's two inputs where nothing is asked."""
    shape = (count, pieces)
    return {"phrases": np.zeros((*shape, TEXT_WIDTH), np.float32), "phrase_mask": np.zeros(shape, np.float32)}
