"""Phrases found by a model, by the rules and by plain labels, on scenes that nobody trained on.

    python benchmarks/language.py DATA [--model MODEL] [--questions FILE] [--frames N] [--controls] [--json FILE]

DATA is a folder of `gemini-ros dataset simulate` with its questions.jsonl; --questions takes another file of the same
frames, such as held-out nouns. Without --model only rules and labels are judged, on ``--labels MODEL``'s labels.

Target IoU: mean IoU of the questions with a target. Hit: the most probable pixel lies in the target; of rules and
labels, which have no most probable one, any of their pixels. "Not there": the share of questions without a target that
are told so, at the threshold at which 90 % of the targets are found; rules and labels have no threshold, so their share
of targets found stands beside it. With a model, questions that are too long for its text encoder are left out, for the
rivals too. Intervals are of scenes. Controls: another phrase's text, shuffled words, the empty
sentence, and frames without one modality.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads a BLAS

import cv2
import numpy as np

from gemini_ros.core.documents import parse_json
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.intervals import bootstrap_t
from gemini_ros.core.phrase_maps import MOST_PHRASES, PhraseInputs
from gemini_ros.core.resources import find_model
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.language.encoder import SHA256, TextEncoder
from gemini_ros.language.grammar import Grammar
from gemini_ros.language.nearest import NearestNoun
from gemini_ros.language.questions import FILE
from gemini_ros.language.rules import Things
from gemini_ros.language.views import open_simulated
from gemini_ros.language.words import Words, load_words

MODEL, RULES, LABELS = "model", "rules", "labels"
TARGETS_FOUND = 0.9
ALL = "all"
_EMPTY = ""
Question = Mapping[str, Any]


@dataclass
class Judged:
    """What became of questions: parallel lists. ``score`` is how sure a method is that the target is there."""

    kind: list[str] = field(default_factory=list)
    scene: list[int] = field(default_factory=list)
    target: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    hit: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def add(self, question: Question, meant: np.ndarray, shown: np.ndarray, hit: float, score: float) -> None:
        """``meant`` and ``shown`` bool (H, W)."""
        self.kind.append(question["type"])
        self.scene.append(question["scene"])
        self.target.append(bool(meant.any()))
        self.iou.append(float((meant & shown).sum() / max((meant | shown).sum(), 1)))
        self.hit.append(hit)
        self.score.append(score)

    def table(self, *, threshold: bool) -> dict[str, dict[str, Any]]:
        """By kind, and of all. ``threshold``: the score is a probability, whose threshold is chosen."""
        there, score = np.array(self.target, bool), np.array(self.score)
        kinds = np.array(self.kind)
        least = float(np.quantile(score[there], 1 - TARGETS_FOUND)) if threshold and there.any() else 0.5
        said = score >= least
        return {
            kind: self._row((kinds == kind) | (kind == ALL), there, said) for kind in (*sorted(set(self.kind)), ALL)
        }

    def _row(self, of: np.ndarray, there: np.ndarray, said: np.ndarray) -> dict[str, Any]:
        row: dict[str, Any] = {"questions": int(of.sum())}
        row |= self._mean("target_iou", of & there, self.iou) | self._mean("hit", of & there, self.hit)
        row |= self._mean("targets_found", of & there, said) | self._mean("not_there_said", of & ~there, ~said)
        return row

    def _mean(self, name: str, of: np.ndarray, values: Sequence[float] | np.ndarray) -> dict[str, Any]:
        if not of.any():
            return {name: None}
        scenes, chosen = np.array(self.scene)[of], np.array(values, np.float64)[of]
        units = np.array([[chosen[scenes == s].sum(), (scenes == s).sum()] for s in np.unique(scenes)])
        found = bootstrap_t(units.astype(np.float64), lambda sums: {name: sums[..., 0] / sums[..., 1]})
        interval = {f"{name}_95": [round(v, 4) for v in found[name]]} if name in found else {}
        return {name: round(float(chosen.mean()), 4), **interval}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of held-out scenes")
    parser.add_argument("--model", help="a model file that takes phrases")
    parser.add_argument("--labels", default="warehouse_rgbd_nano", help="whose labels are judged without --model")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="default: DATA/questions.jsonl")
    parser.add_argument("--words", default="warehouse")
    parser.add_argument("--frames", type=int, metavar="N", help="the first N frames that have questions")
    parser.add_argument("--controls", action="store_true", help="also texts and frames that lack something")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    path = find_model(options.model or options.labels)
    segmenter = load_segmenter(path, backend="onnxruntime", threads=1)
    if options.model and segmenter.info.language is None:
        parser.error(f"{options.model} takes no phrases")
    encoder = TextEncoder() if options.model else None
    judged = judge(
        options.data,
        options.questions or options.data / FILE,
        segmenter,
        load_words(options.words),
        encoder,
        most_frames=options.frames,
        controls=options.controls,
    )
    tables = {name: found.table(threshold=name not in (RULES, LABELS)) for name, found in judged.items()}
    print_tables(tables)
    if options.json:
        result = {"model": str(path), "data": str(options.data), "tables": tables}
        options.json.write_text(json.dumps(result, indent=2))


def judge(
    data: Path,
    questions: Path,
    segmenter: Segmenter,
    words: Words,
    encoder: Any = None,
    *,
    most_frames: int | None = None,
    controls: bool = False,
) -> dict[str, Judged]:
    """By method, and by control of the model. Without ``encoder`` (``TextEncoder``) only rules and labels."""
    folder = open_simulated(data)
    grammar = Grammar(words, NearestNoun(encoder, words)) if encoder else Grammar(words, held_out=True)
    judged: dict[str, Judged] = {}
    for number, (stem, asked) in enumerate(_by_frame(questions)):
        if number == most_frames:
            break
        frame, labels, instances = folder.images(stem)
        taken = frame.without(*(set(frame.images()) - set(segmenter.info.modality_names)))
        if encoder is not None:
            asked = [question for question in asked if encoder.fits(question["sentence"])]
        meant = [_meant(question, labels, instances, words) for question in asked]
        plain = segmenter.segment(taken)
        _judge_rules(asked, meant, frame, plain, grammar, judged)
        if encoder is not None:
            for name, (seen, texts) in _runs(asked, taken, controls, number):
                _judge_model(asked, meant, seen, texts, segmenter, encoder, judged.setdefault(name, Judged()))
    return judged


def _by_frame(path: Path) -> Iterator[tuple[str, list[Question]]]:
    found: dict[str, list[Question]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        question: Any = parse_json(line, f"{path}: line {number}")
        found.setdefault(question["frame"], []).append(question)
    yield from found.items()


def _meant(question: Question, labels: np.ndarray, instances: np.ndarray, words: Words) -> np.ndarray:
    if question["stuff"] is None:
        return np.isin(instances, question["targets"])
    there = question["answer"] == "yes"
    return (labels == words.classes.index(question["stuff"])) & there


def _runs(
    asked: Sequence[Question], frame: Frame, controls: bool, seed: int
) -> Iterator[tuple[str, tuple[Frame, list[str]]]]:
    """The model itself, and its controls: a frame and a text for each question."""
    texts = [question["sentence"] for question in asked]
    yield MODEL, (frame, texts)
    if not controls:
        return
    rng = np.random.default_rng(seed)
    yield "another phrase's text", (frame, [*texts[1:], texts[0]])
    yield "words shuffled", (frame, [" ".join(rng.permutation(text.rstrip("?").split())) for text in texts])
    yield "empty sentence", (frame, [_EMPTY] * len(texts))
    for name in frame.images() if len(frame.images()) > 1 else ():
        yield f"without {name}", (frame.without(name), texts)


def _judge_model(
    asked: Sequence[Question],
    meant: Sequence[np.ndarray],
    frame: Frame,
    texts: Sequence[str],
    segmenter: Segmenter,
    encoder: Any,
    judged: Judged,
) -> None:
    for first in range(0, len(asked), MOST_PHRASES):
        some = texts[first : first + MOST_PHRASES]
        features: list[Any] = [encoder.features(text) for text in some]
        phrases, mask = (np.stack(parts) for parts in zip(*features, strict=True))
        said = segmenter.segment(frame, PhraseInputs(tuple(some), SHA256, phrases, mask)).phrases
        assert said is not None
        for row in range(len(some)):
            prob = cv2.resize(said.prob[row], frame.size, interpolation=cv2.INTER_LINEAR)
            target = meant[first + row]
            hit = bool(target.flat[int(prob.argmax())])
            judged.add(asked[first + row], target, said.mask(row, frame.size), float(hit), float(said.present[row]))


def _judge_rules(
    asked: Sequence[Question],
    meant: Sequence[np.ndarray],
    frame: Frame,
    plain: Segmentation,
    grammar: Grammar,
    judged: dict[str, Judged],
) -> None:
    """A sentence that the grammar refuses is found nowhere. Labels get the right noun."""
    words, nowhere = grammar.words, np.zeros(plain.labels.shape, np.bool_)
    things = Things(frame, plain.labels, words)
    for question, target in zip(asked, meant, strict=True):
        try:
            shown = things.answer(grammar.parse(question["sentence"])).mask
        except ValueError:
            shown = nowhere
        noun = words.nouns[question["program"]["noun"]].of
        for name, mask in ((RULES, shown), (LABELS, plain.labels == words.classes.index(noun))):
            hit = float(target[mask].mean()) if mask.any() else 0.0
            judged.setdefault(name, Judged()).add(question, target, mask, hit, float(mask.any()))


def print_tables(tables: Mapping[str, Mapping[str, Mapping[str, Any]]], say: Callable[[str], None] = print) -> None:
    """A row for each kind of question, with target IoU and hit of each method; then what is said of targets."""
    methods = list(tables)
    say("target IoU (hit)".ljust(18) + "".join(name.rjust(24) for name in methods))
    for kind in next(iter(tables.values()), {}):
        cells = [f"{_text(tables[name][kind]['target_iou'])} ({_text(tables[name][kind]['hit'])})" for name in methods]
        say(kind.ljust(18) + "".join(cell.rjust(24) for cell in cells))
    for key, title in (("targets_found", "targets found"), ("not_there_said", '"not there" said')):
        say(title.ljust(18) + "".join(_text(tables[name][ALL][key]).rjust(24) for name in methods))
    for name in methods:
        if interval := tables[name][ALL].get("target_iou_95"):
            say(f"{name}: target IoU of all, 95 % interval by scenes {interval[0]:.3f} to {interval[1]:.3f}")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
