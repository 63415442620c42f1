"""From probabilities of a phrase to the pixels that it means."""

import numpy as np

from gemini_ros.core.phrase_maps import SHARE_OF_BEST, PhraseMaps


def maps(*probs: np.ndarray) -> PhraseMaps:
    count = len(probs)
    texts = tuple(f"phrase {i}" for i in range(count))
    return PhraseMaps(texts, np.stack(probs), np.ones(count, np.float32), np.zeros((count, 6), np.float32))


def test_the_mask_is_what_is_nearly_as_probable_as_the_best_place() -> None:
    sure, unsure = np.zeros((2, 6, 8), np.uint8)
    sure[:, :2], sure[:, 2:4] = 250, 90
    unsure[:, :2], unsure[:, 2:4] = 100, 39  # two things that it cannot choose between
    found = maps(sure, unsure)
    assert np.array_equal(found.mask(0, (8, 6)), sure == 250)
    assert np.array_equal(found.mask(1, (8, 6)), unsure == 100)
    unsure[:, 2:4] = round(100 * SHARE_OF_BEST) + 1
    assert np.array_equal(maps(unsure).mask(0, (8, 6)), unsure > 0)


def test_the_mask_is_as_large_as_the_image_and_empty_where_nothing_is_meant() -> None:
    prob = np.zeros((6, 8), np.uint8)
    assert not maps(prob).mask(0, (32, 24)).any()
    prob[2, 3] = 11  # noise
    assert not maps(prob).mask(0, (32, 24)).any()
    prob[2:4, 3:5] = 200
    mask = maps(prob).mask(0, (32, 24))
    assert mask.shape == (24, 32) and mask[9:15, 13:19].all() and not mask[:4].any() and not mask[:, :6].any()
