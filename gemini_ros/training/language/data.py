"""Batches of frames and questions about them. Two questions that differ in one word come together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from gemini_ros.core.documents import parse_json
from gemini_ros.core.phrase_maps import COUNTS
from gemini_ros.language.questions import FILE
from gemini_ros.language.words import Words
from gemini_ros.network.language.maps import PlainMaps
from gemini_ros.training.language.cache import CachedFrames, CachedTexts

NO_COUNT = -1  # of floor, wall and ceiling
_KEYS = ("frame", "type", "program", "sentence", "targets", "stuff", "count", "pair")


@dataclass(frozen=True)
class Question:
    """One line of ``questions.jsonl``; ``frame`` is a row of the cached frames, ``noun_class`` of the label set."""

    frame: int
    type: str
    text: str
    targets: tuple[int, ...]
    stuff: int | None
    count: int
    noun_class: int
    pair: str | None

    @property
    def present(self) -> bool:
        return bool(self.targets) or (self.stuff is not None)


def read_questions(folder: Path, frames: CachedFrames, words: Words, *, class_names: bool = False) -> list[Question]:
    """The questions of a data set. ``class_names`` puts the noun's class in the place of each sentence.

    Raises ``ValueError`` for a file that ``gemini-ros dataset questions`` did not write for these frames.
    """
    path, found = folder / FILE, []
    rows = {stem: row for row, stem in enumerate(frames.stems)}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; write it with `gemini-ros dataset questions {folder}`") from error
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        entry = parse_json(line, where)
        if not isinstance(entry, dict) or not set(_KEYS) <= set(entry) or entry["frame"] not in rows:
            raise ValueError(f"{where}: expected a question about a frame of this data set: write the file again")
        found.append(_question(entry, rows, words, where, class_names))
    if not found:
        raise ValueError(f"{path}: no questions, expected at least one")
    return found


def _question(entry: dict[str, Any], rows: dict[str, int], words: Words, where: str, class_names: bool) -> Question:
    try:
        noun = words.nouns[entry["program"]["noun"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where}: a noun that {words.name} lacks: write the file again") from error
    stuff = entry["stuff"]
    there = stuff is not None and entry.get("answer") == "yes"
    return Question(
        rows[entry["frame"]],
        entry["type"],
        words.nouns[noun.of].words[0] if class_names else entry["sentence"],
        tuple(entry["targets"]),
        words.classes.index(noun.of) if there else None,
        NO_COUNT if entry["count"] is None else min(entry["count"], COUNTS - 1),
        words.classes.index(noun.of),
        None if class_names else entry["pair"],
    )


@dataclass(frozen=True)
class PhraseBatch:
    """B frames with P questions each. ``targets`` and ``inside`` float32 (B, P, h/4, w/4): the pixels that are meant,
    and those that the plain network takes for the noun's class; ``present`` (B, P); ``count`` int64 (B, P), -1 where
    nothing can be counted."""

    maps: PlainMaps
    phrases: Tensor
    mask: Tensor
    targets: Tensor
    inside: Tensor
    present: Tensor
    count: Tensor


def make_batch(frames: CachedFrames, texts: CachedTexts, chosen: Sequence[Sequence[Question]]) -> PhraseBatch:
    """Of as many questions for each frame; those of a row are about one frame."""
    maps = frames.batch([row[0].frame for row in chosen])
    count = len(chosen[0])
    phrases, mask = texts.tensors([q.text for row in chosen for q in row])
    labels = maps.logits.argmax(1)
    inside = torch.stack([torch.stack([labels[b] == q.noun_class for q in row]) for b, row in enumerate(chosen)])
    targets = np.stack([np.stack([target_of(frames, q) for q in row]) for row in chosen])
    return PhraseBatch(
        maps,
        phrases.unflatten(0, (-1, count)),
        mask.unflatten(0, (-1, count)),
        torch.from_numpy(targets.astype(np.float32)),
        inside.float(),
        torch.tensor([[float(q.present) for q in row] for row in chosen]),
        torch.tensor([[q.count for q in row] for row in chosen]),
    )


def target_of(frames: CachedFrames, question: Question) -> np.ndarray:
    """bool (h/4, w/4): the pixels that a question means."""
    if question.stuff is not None:
        return frames.labels[question.frame] == question.stuff
    return np.isin(frames.instances[question.frame], question.targets)


class PhraseBatches(IterableDataset):
    """Batches without end, the same for the same ``seed``; ``first`` is the step that a stopped training goes on at."""

    def __init__(
        self,
        sets: Sequence[tuple[CachedFrames, Sequence[Question]]],
        texts: CachedTexts,
        frames: int,
        phrases: int,
        seed: int,
        first: int = 0,
    ) -> None:
        self._sets, self._texts, self._phrases = sets, texts, phrases
        self._seed, self._first = seed, first
        self._by_frame = []
        for which, (_, questions) in enumerate(sets):
            of_frame: dict[int, list[Question]] = {}
            for question in questions:
                of_frame.setdefault(question.frame, []).append(question)
            self._by_frame.append([(which, asked) for asked in of_frame.values()])
        self._count = frames

    def __iter__(self) -> Iterator[PhraseBatch]:
        step = self._first
        while True:
            rng = np.random.default_rng([self._seed, step])
            shares = np.array([len(frames) for frames in self._by_frame], np.float64)
            # A batch is of one folder: its frames lie in one array.
            which = int(rng.choice(len(self._sets), p=shares / shares.sum()))
            chosen = rng.integers(len(self._by_frame[which]), size=self._count)
            rows = [drawn(self._by_frame[which][i][1], self._phrases, rng) for i in chosen]
            yield make_batch(self._sets[which][0], self._texts, rows)
            step += 1


def drawn(questions: Sequence[Question], count: int, rng: np.random.Generator) -> list[Question]:
    """``count`` of a frame's questions, partners beside each other; some come again where there are too few."""
    by_text = {question.text: question for question in questions}
    found: list[Question] = []
    while len(found) < count:
        for index in rng.permutation(len(questions)):
            question = questions[index]
            partner = by_text.get(question.pair) if question.pair else None
            found += [question] if partner is None else [question, partner]
            if len(found) >= count:
                break
    return found[:count]


def describe(questions: Sequence[Question]) -> str:
    """How many, of which types, for people."""
    kinds: dict[str, int] = {}
    for question in questions:
        kinds[question.type] = kinds.get(question.type, 0) + 1
    return f"{len(questions)} questions: {json.dumps(dict(sorted(kinds.items())))}"
