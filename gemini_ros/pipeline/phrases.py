"""Which phrases are in force. What is asked for is checked as a whole; where it is refused, they stay as they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.roles import AVOID, PREFER, Role
from gemini_ros.core.documents import parse_json
from gemini_ros.core.entries import require_entries
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.model_info import Language
from gemini_ros.core.phrase_maps import MOST_PHRASES, PhraseInputs
from gemini_ros.language.encoder import SHA256, TextEncoder
from gemini_ros.language.features import read_features, without_exact
from gemini_ros.language.grammar import Grammar, Unmapped, check_text
from gemini_ros.language.nearest import NearestNoun
from gemini_ros.language.phrase import Query, query_of
from gemini_ros.language.words import Words, load_words
from gemini_ros.pipeline.clock import Instant

_Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
TARGET, ASK = "target", "ask"
ROLES = (TARGET, AVOID, PREFER, ASK)
_IN_MAP = (AVOID, PREFER)
_COST = 60
_LEAST_COST, _MOST_COST = 1, 98
_MOST_TTL_S = 1e6
_MOST_CHARACTERS = 4000


@lru_cache(maxsize=1)
def _words() -> Words:
    return load_words()


@dataclass(frozen=True)
class Entry:
    """A phrase in force; ``number`` counts from 1.

    ``query`` is ``None`` where its noun is not known and no known one stands for it: ``why`` says so. ``unknown``: the
    nouns that are not known. ``ttl_s``: ``None`` is for ever.
    """

    number: int
    text: str
    role: str
    cost: int
    ttl_s: float | None
    query: Query | None
    unknown: tuple[str, ...] = ()
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        program = {} if self.query is None else {"program": self.query.to_dict()}
        cost = {"cost": self.cost} if self.role in _IN_MAP else {}
        said = {"number": self.number, "text": self.text, "role": self.role, **cost, "ttl_s": self.ttl_s}
        return {**said, "unknown": list(self.unknown), **program}


@dataclass(frozen=True)
class Refused:
    """What was asked for and is not in force: the phrases as far as they could be read, and the sentence why."""

    why: str
    entries: tuple[dict[str, str], ...] = ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """For JSON, at least one."""
        return [{**entry, "in_force": False, "why": self.why} for entry in self.entries or ({},)]


@dataclass(frozen=True)
class _Set:
    """Phrases that came together, and when; ``None`` until the first frame."""

    entries: tuple[Entry, ...] = ()
    since: Instant | None = None


@dataclass
class PhraseBook:
    """The phrases in force, for a model of ``label_set`` and images of ``streams``. Safe to use from several threads.

    ``file`` has encoded phrases, whose words need no text encoder here. Where it cannot be used nothing is in force:
    ``fault`` says why. ``refused`` is the last set that was refused, ``None`` once another was accepted. ``language``
    is what the model takes of words, which ``inputs`` gives.
    """

    label_set: LabelSet
    streams: Collection[str]
    file: Path | None = None
    language: Language | None = None
    fault: str = field(default="", init=False)
    refused: Refused | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.words = _words()
        self._lock = threading.Lock()
        self._set = _Set()
        self._latest: Instant | None = None
        self._grammar = Grammar(self.words, self._nearest)
        self._encoded: dict[str, Query] = {}
        self._of_file: dict[str, _Rows] = {}
        self._features: dict[str, _Rows] = {}
        self._inputs: tuple[tuple[str, ...], PhraseInputs | None] = ((), None)
        self._encoder: TextEncoder | None = None
        self._encoder_fault = ""
        self._ranked: NearestNoun | None = None
        if self.file is not None:
            try:
                self._encoded = self._read(self.file)
            except (ValueError, OSError) as error:
                self.fault = f"phrases_file: {error}"

    def start(self, text: str) -> None:
        """Put the parameter ``phrases`` in force: JSON as ``set`` takes it, or phrases with semicolons between them.

        Their time begins with the first frame. Raises ``ValueError`` for what ``set`` would refuse; not for the
        ``fault``, by which they are refused and answered.
        """
        text = text.strip()
        if text and not text.startswith(("[", "{")):
            parts = [part for part in text.split(";") if part.strip()]
            text = json.dumps([{"text": part} for part in parts or [""]])
        why = self.set(text or "[]", None)
        if why and not self.fault:
            raise ValueError(f"phrases: {why}")

    def set(self, text: str, now: Instant | None) -> str:
        """Put a JSON list of phrases, or a single one, in the place of those in force; an empty list ends them all.

        Returns why not, in a sentence, and empty once they are in force. All are refused where one is.
        """
        read: list[dict[str, str]] = []
        try:
            entries = self._entries(text, read)
            if entries and self.fault:
                raise ValueError(self.fault)
        except ValueError as error:
            self.refused = Refused(str(error), tuple(read))
            return str(error)
        features = self._encode(entries)
        with self._lock:
            self._features = features
            # A simulated clock that nobody has set yet is no time to count from.
            self._set, self.refused = _Set(entries, now if now and now.clock_ns else None), None
        return ""

    def begin(self, now: Instant) -> None:
        """A frame has come: phrases that wait for the first one live from now on.

        Where the clock jumped back, as simulated time does, they have lived as long as before.
        """
        with self._lock:
            since, latest, self._latest = self._set.since, self._latest, now
            if since is None and self._set.entries:
                self._set = _Set(self._set.entries, now)
            elif since is not None and latest is not None and (back_ns := latest.steady_ns - now.steady_ns) > 0:
                moved = Instant(since.clock_ns - (latest.clock_ns - now.clock_ns), since.steady_ns - back_ns)
                self._set = _Set(self._set.entries, moved)

    def in_force(self, now: Instant) -> tuple[Entry, ...]:
        """The phrases whose time is not over, by the steady clock: one that is set must not end what is avoided."""
        with self._lock:
            entries, since = self._set.entries, self._set.since
        if since is None:
            return entries
        elapsed_s = (now.steady_ns - since.steady_ns) / 1e9
        return tuple(entry for entry in entries if entry.ttl_s is None or elapsed_s < entry.ttl_s)

    def inputs(self, now: Instant) -> PhraseInputs | None:
        """What the model is asked of those in force that could be encoded for it; ``None`` where there are none."""
        entries = self.in_force(now)
        with self._lock:
            known = dict.fromkeys(e.text for e in entries if e.query and e.text in self._features)
            # Rules find those that are too many for the model.
            texts = tuple(known)[: self.language.phrases if self.language else 0]
            if self._inputs[0] != texts:
                rows = [self._features[text] for text in texts]
                arrays = [np.stack(parts) for parts in zip(*rows, strict=True)]
                self._inputs = texts, PhraseInputs(texts, SHA256, *arrays) if texts else None
            return self._inputs[1]

    def roles(self, now: Instant) -> tuple[Role, ...]:
        """What those in force do to the map."""
        return tuple(Role(e.text, e.role, e.cost) for e in self.in_force(now) if e.role in _IN_MAP)

    def to_dict(self, now: Instant) -> dict[str, Any]:
        """What ``~/phrases`` says."""
        refused = self.refused.to_dicts() if self.refused else []
        return {"in_force": [entry.to_dict() for entry in self.in_force(now)], "refused": refused}

    # -- reading

    def _entries(self, text: str, read: list[dict[str, str]]) -> tuple[Entry, ...]:
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"{len(text)} characters, expected JSON of at most {_MOST_CHARACTERS}")
        data = parse_json(text, "phrases")
        items = [data] if isinstance(data, dict) else data
        if not isinstance(items, list):
            raise ValueError(f"{data!r:.80}, expected a JSON list of phrases such as {_EXAMPLE}")
        read += [_as_read(item) for item in items[:MOST_PHRASES] if isinstance(item, dict)]
        if len(items) > MOST_PHRASES:
            raise ValueError(f"{len(items)} phrases, expected at most {MOST_PHRASES}")
        return tuple(self._entry(number, item) for number, item in enumerate(items, 1))

    def _entry(self, number: int, item: object) -> Entry:
        where = f"phrase {number}"
        data = require_entries(item, {"text"}, {"role", "cost", "ttl_s"}, where)
        role, cost, ttl_s = data.get("role", ASK), data.get("cost", _COST), data.get("ttl_s")
        if role not in ROLES:
            raise ValueError(f"{where}: role {role!r:.80}, expected one of {', '.join(ROLES)}")
        if type(cost) is not int or not _LEAST_COST <= cost <= _MOST_COST:
            raise ValueError(f"{where}: cost {cost!r:.80}, expected a whole number from {_LEAST_COST} to {_MOST_COST}")
        if ttl_s is not None and not (type(ttl_s) in (int, float) and 0 < ttl_s <= _MOST_TTL_S):
            raise ValueError(f"{where}: ttl_s {ttl_s!r:.80}, expected seconds above 0, at most {_MOST_TTL_S:g}")
        try:
            query, unknown, why = self._query(data["text"])
            self._require_grounded(query, unknown, role)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return Entry(number, check_text(data["text"]), role, cost, ttl_s and float(ttl_s), query, unknown, why)

    def _query(self, text: object) -> tuple[Query | None, tuple[str, ...], str]:
        """What a text asks, the nouns that are not known, and why it asks nothing where it does not."""
        if (query := self._encoded.get(check_text(text))) is None:
            try:
                query = self._grammar.parse(text)
            except Unmapped as error:
                return None, (error.noun,), str(error)
        return query, query.unknown, ""

    def _require_grounded(self, query: Query | None, unknown: tuple[str, ...], role: str) -> None:
        """Raises ``ValueError`` for what could never be seen; what goes into the map has to be known."""
        if unknown and role in _IN_MAP:
            known = ", ".join(noun.words[0] for noun in self.words.nouns.values())
            raise ValueError(f"{unknown[0]!r} is not known, expected one of {known} for {role}: it is not in force")
        if query is None:
            return
        phrase = query.phrase
        nouns = [self.words.nouns[name].of for name in (phrase.noun, phrase.landmark, phrase.on) if name]
        if lacking := [name for name in nouns if name not in self.label_set.names]:
            classes = ", ".join(self.label_set.names)
            raise ValueError(f"the model has no class {lacking[0]}, expected one of {classes}")
        if role in _IN_MAP and query.needs_degrees and "thermal" not in self.streams:
            raise ValueError(f"{role} by degrees needs a thermal image, and thermal is not among the modalities")

    def _nearest(self, noun: str) -> str:
        """The known noun that is nearest in meaning; the encoder is read when the first such noun comes."""
        if self._ranked is None and (encoder := self._text_encoder()) is not None:
            self._ranked = NearestNoun(encoder, self.words)
        if self._ranked is None:
            raise Unmapped(noun, f"and which known noun is nearest is not: {self._encoder_fault}")
        return self._ranked(noun)

    def _text_encoder(self) -> TextEncoder | None:
        """The one that is installed, read once; ``None`` where none is, and the fault says why."""
        if self._encoder is None and not self._encoder_fault:
            try:
                self._encoder = TextEncoder()
            except (ValueError, OSError) as error:
                self._encoder_fault = str(error)
        return self._encoder

    def _encode(self, entries: Collection[Entry]) -> dict[str, _Rows]:
        """Features by text, for a model of this text encoder: of the file, else encoded now. Rules find the rest."""
        if self.language is None or self.language.encoder_sha256 != SHA256:
            return {}
        found = {}
        for text in (entry.text for entry in entries):
            if text in self._of_file:
                found[text] = self._of_file[text]
            elif text in self._features:
                found[text] = self._features[text]
            elif (encoder := self._text_encoder()) is not None:
                try:
                    found[text] = encoder.features(without_exact(text))
                except ValueError:
                    continue  # too many word pieces for the encoder; the rules know no such limit
        fitted = {text: _of_pieces(rows, self.language.pieces) for text, rows in found.items()}
        return {text: rows for text, rows in fitted.items() if rows is not None}

    def _read(self, path: Path) -> dict[str, Query]:
        features = read_features(path)
        rows = zip(features.phrases, features.phrase_mask, strict=True)
        self._of_file = dict(zip(features.texts, rows, strict=True))
        pairs = zip(features.texts, features.programs, strict=True)
        return {text: query_of(program, self.words, f"{path}: {text!r:.60}") for text, program in pairs}


def _of_pieces(rows: _Rows, pieces: int) -> _Rows | None:
    """Features and mask of a phrase for a model of as many word pieces; ``None`` where it has more."""
    features, mask = rows
    if mask[pieces:].any():
        return None
    more = max(pieces - len(mask), 0)
    return np.pad(features[:pieces], ((0, more), (0, 0))), np.pad(mask[:pieces], (0, more))


_EXAMPLE = '[{"text": "the nearest person", "role": "ask"}]'


def _as_read(item: dict[str, Any]) -> dict[str, str]:
    """Text and role of a phrase that may be refused, shortened."""
    return {key: f"{item[key]!s:.200}" for key in ("text", "role") if key in item}
