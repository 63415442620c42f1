"""What a model says of phrases, as answers: measured bounds decide, and rules find what it says nothing of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.frames import Frame, FrameError, Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import Language
from gemini_ros.core.phrase_maps import PhraseMaps
from gemini_ros.language.encoder import SHA256
from gemini_ros.language.features import PhraseFeatures, write_features
from gemini_ros.language.grammar import Grammar
from gemini_ros.language.words import load_words
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.grounding import Asked, Network, Rules
from gemini_ros.pipeline.phrases import PhraseBook

WORDS, WAREHOUSE = load_words(), load_label_set("warehouse")
BOX = WORDS.classes.index("box")
GRAMMAR = Grammar(WORDS)
CAMERA = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
SMALL = (12, 16)


def frame() -> tuple[Frame, np.ndarray]:
    """Two boxes in front of a wall, 1 and 3 m away, and their pixels."""
    depth = np.full((48, 64), 6.0, np.float32)
    boxes = np.zeros((48, 64), np.uint8)
    boxes[16:40, 8:24], boxes[16:40, 40:56] = 1, 2
    depth[boxes == 1], depth[boxes == 2] = 1.0, 3.0
    return Frame(0, "camera", depth=depth, intrinsics=CAMERA), boxes


def segmented(boxes: np.ndarray, *rows: tuple[str, np.ndarray, float, int]) -> Segmentation:
    """Labels, and of each text the pixels that the model means, its presence and its count."""
    labels = np.where(boxes > 0, np.uint8(BOX), np.uint8(1))
    count = np.zeros((len(rows), 6), np.float32)
    for index, row in enumerate(rows):
        count[index, row[3]] = 1
    prob = np.stack([row[1][2::4, 2::4] * np.uint8(255) for row in rows]) if rows else np.zeros((0, *SMALL), np.uint8)
    present = np.array([row[2] for row in rows], np.float32)
    maps = PhraseMaps(tuple(row[0] for row in rows), prob.astype(np.uint8), present, count)
    return Segmentation(labels, np.full(labels.shape, 200, np.uint8), phrases=maps)


def ground(text: str, segmentation: Segmentation, seen: Frame):
    network = Network(WORDS, WAREHOUSE, Rules(WORDS, WAREHOUSE))
    (found,) = network.ground([Asked(text, GRAMMAR.parse(text))], seen, segmentation)
    return found


def test_the_model_is_believed_and_its_mask_is_cut_into_things() -> None:
    seen, boxes = frame()
    found = ground("the box", segmented(boxes, ("the box", boxes > 0, 0.9, 2)), seen)
    assert (found.by, found.present, found.count) == ("network", True, 2)
    assert found.probability == pytest.approx(0.9)
    assert ((found.parts > 0) == (boxes > 0)).mean() > 0.95
    assert set(np.unique(found.parts)) == {0, 1, 2}
    assert len(np.unique(found.parts[boxes == 1])) <= 2
    # It may mean less than the labels show, and nothing at all.
    red = ground("the box", segmented(boxes, ("the box", boxes == 2, 0.9, 1)), seen)
    assert not red.parts[:, :30].any() and red.count == 1
    absent = ground("the box", segmented(boxes, ("the box", boxes > 0, 0.2, 1)), seen)
    assert (absent.present, absent.count, absent.parts.any()) == (False, 0, False)
    assert absent.probability == pytest.approx(0.2)


def test_exact_bounds_are_measured_whatever_the_model_says() -> None:
    seen, boxes = frame()
    text = "the box within 2 m"
    found = ground(text, segmented(boxes, (text, boxes > 0, 0.9, 2)), seen)
    assert (found.present, found.count) == (True, 1)
    assert not found.parts[boxes == 2].any() and found.parts[boxes == 1].mean() > 0.8
    assert not ground(text, segmented(boxes, (text, boxes == 2, 0.9, 1)), seen).present


def test_a_bound_counts_things_of_the_class_not_single_pixels() -> None:
    seen, boxes = frame()
    text = "the box farther than 2 m"
    rim = (boxes == 1) | (np.roll(boxes == 1, 2, axis=1))  # a mask that laps over what is behind
    assert not ground(text, segmented(boxes, (text, rim, 0.9, 1)), seen).present
    text = "the nearest box farther than 2 m"
    found = ground(text, segmented(boxes, (text, boxes == 1, 0.9, 1)), seen)
    assert (found.by, found.present) == ("rules", True)
    assert found.parts[boxes == 2].mean() > 0.8 and not found.parts[boxes == 1].any()


def test_a_bound_on_what_was_not_measured_has_no_answer() -> None:
    seen, boxes = frame()
    depth = np.where(boxes > 0, np.float32(np.nan), seen.depth)
    text = "the box within 2 m"
    found = ground(text, segmented(boxes, (text, boxes > 0, 0.9, 2)), replace(seen, depth=depth))
    assert isinstance(found, FrameError) and "not measured" in str(found)


def test_one_of_several_is_one_thing_even_where_depth_cuts_it() -> None:
    seen, boxes = frame()
    found = ground("the nearest box", segmented(boxes, ("the nearest box", boxes > 0, 0.9, 2)), seen)
    assert (set(np.unique(found.parts)), found.count) == ({0, 1}, 1)


def test_rules_find_what_the_model_says_nothing_of() -> None:
    seen, boxes = frame()
    network, rules = Network(WORDS, WAREHOUSE, Rules(WORDS, WAREHOUSE)), Rules(WORDS, WAREHOUSE)
    asked = [Asked(text, GRAMMAR.parse(text)) for text in ("the box", "the nearest box", "the person")]
    said = segmented(boxes, ("the nearest box", boxes == 1, 0.8, 1))
    by = [found.by for found in network.ground(asked, seen, said)]
    assert by == ["rules", "network", "rules"]
    alone = network.ground(asked, seen, replace(said, phrases=None))
    for ours, theirs in zip(alone, rules.ground(asked, seen, said), strict=True):
        assert (ours.by, ours.present, ours.count) == ("rules", theirs.present, theirs.count)
        np.testing.assert_array_equal(ours.parts, theirs.parts)


def test_the_book_gives_a_model_what_is_in_force_and_of_its_encoder(tmp_path) -> None:
    texts = ("the nearest box", "the person")
    mask = np.zeros((2, 16), np.float32)
    mask[:, :5] = 1
    programs = tuple(GRAMMAR.parse(text).to_dict() for text in texts)
    features = np.random.default_rng(0).normal(0, 1, (2, 16, 384)).astype(np.float32)
    path = write_features(PhraseFeatures(texts, programs, features, mask), tmp_path / "phrases.npz")
    book = PhraseBook(WAREHOUSE, ("rgb", "depth"), path, Language(SHA256, 4, 16))
    now = Instant.of(10**9)
    assert book.inputs(now) is None
    assert book.set('[{"text": "the person", "ttl_s": 2}]', now) == ""
    given = book.inputs(now)
    assert given is not None and given.texts == ("the person",) and given.encoder == SHA256
    np.testing.assert_array_equal(given.phrases[0], features[1])
    assert book.inputs(now) is given
    assert book.inputs(Instant.of(4 * 10**9)) is None
    # A model that takes fewer, of another length, is given what it takes; the rules find the rest.
    small = PhraseBook(WAREHOUSE, ("rgb", "depth"), path, Language(SHA256, 1, 6))
    assert small.set(json.dumps([{"text": text} for text in texts]), now) == ""
    given = small.inputs(now)
    assert given is not None and given.texts == texts[:1]
    np.testing.assert_array_equal(given.padded(1, 6)["phrases"][0], features[0, :6])
    longer = PhraseBook(WAREHOUSE, ("rgb", "depth"), path, Language(SHA256, 4, 32))
    assert longer.set(json.dumps([{"text": texts[0]}]), now) == ""
    given = longer.inputs(now)
    assert given is not None and given.padded(4, 32)["phrase_mask"][0].sum() == 5
    short = PhraseBook(WAREHOUSE, ("rgb", "depth"), path, Language(SHA256, 4, 4))
    assert short.set(json.dumps([{"text": texts[0]}]), now) == ""
    assert short.inputs(now) is None
    for language in (None, Language("0" * 64, 4, 16)):
        other = PhraseBook(WAREHOUSE, ("rgb", "depth"), path, language)
        assert other.set('"the person"'.join(['{"text": ', "}"]), now) == ""
        assert other.inputs(now) is None
