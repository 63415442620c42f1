"""Sentences to programs and back, by the words file. Exact predicates are parsed first, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from gemini_ros.core.phrase_maps import MOST_PIECES
from gemini_ros.language.exact import split_exact
from gemini_ros.language.phrase import Phrase, Query
from gemini_ros.language.words import RELATIONS, SIDES, SUPERLATIVES, Words

MOST_CHARACTERS = 200
NearestNoun = Callable[[str], str]
_ARTICLE = re.compile(r"^(?:the|a|an|any|all|every)\s+")
_LEAD = re.compile(r"^.*?\b(?:the|a|an|any|all|every)\s+")


def check_text(text: object) -> str:
    """A phrase in small letters with single spaces.

    Raises ``ValueError`` for anything but a text of English letters, for an empty one and one that is too long.
    """
    if not isinstance(text, str):
        raise ValueError(f"phrase {text!r:.80}: expected a text, found {type(text).__name__}")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"phrase of {len(text)} characters, expected at most {MOST_CHARACTERS}")
    text = text.replace("°", " degrees ").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if odd := next((c for c in text if not " " <= c <= "~"), None):
        kind = "a control character" if odd < " " or "\x7f" <= odd < "\xa0" else "another script"
        raise ValueError(f"phrase with {odd!a}, {kind}: expected English letters, digits and punctuation")
    words = text.lower().split()
    if not re.search("[a-z]", text.lower()):
        raise ValueError(f"phrase {text!a:.80}: expected at least one word")
    return " ".join(words)


def _check_pieces(text: str) -> None:
    if (pieces := len(re.findall(r"\w+|[^\w\s]", text)) + 2) > MOST_PIECES:
        raise ValueError(f"phrase of at least {pieces} word pieces, expected at most {MOST_PIECES}: {text:.60}...")


class Grammar:
    """Parses sentences. ``nearest`` maps a noun outside the vocabulary to the name of a known one; without it such a
    noun is refused. ``held_out``: the words kept from training are known, too."""

    def __init__(self, words: Words, nearest: NearestNoun | None = None, *, held_out: bool = False) -> None:
        self.words, self._nearest = words, nearest
        self._nouns: dict[str, str] = {}
        for noun in words.nouns.values():
            for word in (*noun.words, *(noun.held_out if held_out else ())):
                self._nouns[word] = self._nouns[words.plural(word)] = noun.name
        self._templates = [
            (ask, *_ends(text))
            for ask, texts in _merged(words.templates, words.held_out_templates if held_out else {}).items()
            for text in texts
        ]
        self._colors = {color for colors in words.colors.values() for color in colors}

    def parse(self, text: object) -> Query:
        """What a sentence asks. Raises ``ValueError`` for what has no meaning here."""
        checked = check_text(text)
        rest, exact = split_exact(checked)
        _check_pieces(rest)
        said = set(re.findall(r"[a-z']+", rest))
        if turned := sorted(said & self.words.negations):
            raise ValueError(
                f"{checked!r}: {turned[0]!r} turns the phrase round, expected what is meant, not what is not"
            )
        ask, body = self._ask(rest.rstrip("?.! "))
        phrase, unknown = self._phrase(_ARTICLE.sub("", body), checked)
        return Query(ask, phrase, exact, unknown)

    def _ask(self, text: str) -> tuple[str, str]:
        """How is asked, and what about. A sentence of another form is one to find what follows its first article."""
        best: tuple[int, str, str] | None = None
        for ask, head, tail in self._templates:
            if not text.startswith(f"{head} " if head else "") or not text.endswith(f" {tail}" if tail else ""):
                continue
            body = text[len(head) : len(text) - len(tail)].strip()
            if body and (best is None or len(head) + len(tail) > best[0]):
                best = (len(head) + len(tail), ask, body)
        if best and best[0] > 0:
            return best[1], best[2]
        body = _LEAD.sub("", text, count=1)
        # "box on the pallet": its first article belongs to what the box stands on.
        whole = self._is_noun_first(text)
        return "find", text if whole else body

    def _is_noun_first(self, text: str) -> bool:
        first = text.split(" ", 1)[0]
        starts = {word.split(" ")[0] for word in (*self._nouns, *self._colors)}
        starts |= {w.split(" ")[0] for m in ("hot", "cold", *SUPERLATIVES) for w in self.words.words[m]}
        return first in starts

    def _phrase(self, text: str, whole: str) -> tuple[Phrase, tuple[str, ...]]:
        found: dict[str, str] = {}
        unknown: list[str] = []
        body = self._tail(text, found, unknown, whole)
        body = self._head(_ARTICLE.sub("", body), found)
        found["noun"] = self._noun(body, unknown, whole)
        phrase = Phrase(**found)
        noun = self.words.nouns[phrase.noun]
        if noun.stuff and len(phrase.to_dict()) > 1:
            raise ValueError(f"{whole!r}: {noun.name} cannot be counted, expected it without colour, place or order")
        if phrase.heat and phrase.heat not in self.words.heat.get(noun.of, {}):
            known = ", ".join(f"{heat} {name}" for name, heats in self.words.heat.items() for heat in heats)
            raise ValueError(f"{whole!r}: {phrase.heat} {noun.of} has no meaning here, expected one of {known}")
        if phrase.color and phrase.color not in self.words.colors.get(noun.of, ()):
            colors = ", ".join(self.words.colors.get(noun.of, ())) or "no colour"
            raise ValueError(f"{whole!r}: {phrase.color} {noun.of} has no meaning here, expected {colors}")
        return phrase, tuple(unknown)

    def _tail(self, text: str, found: dict[str, str], unknown: list[str], whole: str) -> str:
        """Take what follows the noun: side, relation, what it stands on. Returns what is left."""
        for side in SIDES:
            for words in self.words.words[side]:
                if "side" not in found and text.endswith(f" {words}"):
                    found["side"], text = side, text[: -len(words) - 1]
        for relation in (*RELATIONS, "on"):
            for words in sorted(self.words.words[relation], key=len, reverse=True):
                head, _, tail = text.partition(f" {words} ")
                if not tail:
                    continue
                landmark = self._noun(tail, unknown, whole)
                if relation == "on":
                    found["on"] = self.words.nouns[landmark].of
                else:
                    found |= {"relation": relation, "landmark": landmark}
                return head
        return text

    def _head(self, text: str, found: dict[str, str]) -> str:
        """Take the adjectives before the noun; returns what is left."""
        while text not in self._nouns:
            for key, meaning, words in self._adjectives():
                if text.startswith(f"{words} "):
                    if found.setdefault(key, meaning) != meaning:
                        raise ValueError(f"{text!r}: {found[key]} and {meaning} at once, expected one of them")
                    text = text[len(words) + 1 :]
                    break
            else:
                break
        return text

    def _adjectives(self) -> Iterable[tuple[str, str, str]]:
        for meaning in SUPERLATIVES:
            yield from (("choose", meaning, words) for words in self.words.words[meaning])
        for meaning in ("hot", "cold"):
            yield from (("heat", meaning, words) for words in self.words.words[meaning])
        yield from (("color", color, color) for color in sorted(self._colors))

    def _noun(self, text: str, unknown: list[str], whole: str) -> str:
        text = _ARTICLE.sub("", text.strip(" ,"))
        if text in self._nouns:
            return self._nouns[text]
        # A noun of four words at most: a longer rest is a sentence that was not understood.
        if self._nearest is None or not re.fullmatch(r"[a-z][a-z'-]*(?: [a-z'-]+){0,3}", text):
            known = ", ".join(noun.words[0] for noun in self.words.nouns.values())
            raise ValueError(
                f"{whole!r}: {text or 'no noun'!r} is not known, expected one of {known}, or words for them"
            )
        unknown.append(text)
        return self._nearest(text)


def say(phrase: Phrase, choice: Mapping[str, str], template: str, words: Words) -> str:
    """The sentence of a program. ``choice``: the word for each noun and meaning that it needs.

    ``template`` has {} for the phrase, or {s} for one with a plural noun.
    """
    plural = "{s}" in template
    noun = choice[phrase.noun]
    parts = [choice[phrase.choose] if phrase.choose else "", choice[phrase.heat] if phrase.heat else ""]
    parts += [phrase.color or "", words.plural(noun) if plural else noun]
    if phrase.on:
        parts += [choice["on"], choice[phrase.on]]
    if phrase.relation and phrase.landmark:
        parts += [choice[phrase.relation], choice[phrase.landmark]]
    if phrase.side:
        parts.append(choice[phrase.side])
    said = " ".join(filter(None, parts))
    text = template.replace("{s}", said).replace("{}", said)
    return re.sub(r"\ba(?= [aeiou])", "an", text)


def _ends(template: str) -> tuple[str, str]:
    """What stands before and after the phrase, without an article."""
    head, _, tail = template.rstrip("?").replace("{s}", "{}").partition("{}")
    return re.sub(r"(?:^|\s)(?:the|a|an)$", "", head.rstrip()), tail.strip()


def _merged(first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {key: (*texts, *second.get(key, ())) for key, texts in first.items()}
