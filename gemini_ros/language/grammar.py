"""Sentences to programs and back, by the words file. Exact predicates are parsed first, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from gemini_ros.core.phrase_maps import MOST_PIECES
from gemini_ros.language.exact import split_exact
from gemini_ros.language.phrase import Phrase, Query, require_meaning
from gemini_ros.language.words import RELATIONS, SIDES, SUPERLATIVES, Words

MOST_CHARACTERS = 200
NearestNoun = Callable[[str], str]
_ARTICLES = "the|a|an|any|all|every|some"
_ARTICLE = re.compile(rf"^(?:{_ARTICLES})\s+")
_IS = r"(?: (?:that|which|who))? (?:is|are|stands|stand)"
_BEFORE_THE_NOUN = (*SUPERLATIVES, "hot", "cold")
_EXPECTED = "expected a noun with words such as red, nearest, on the left, on the pallet or left of the door"


class Unmapped(ValueError):  # noqa: N818 (for some it is an answer)
    """A ``noun`` that is not known and that no known one stands for; the text says why."""

    def __init__(self, noun: str, why: str) -> None:
        super().__init__(f"{noun!r} is not known, {why}")
        self.noun = noun


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
            for texts_of in (words.templates, words.held_out_templates)
            for ask, texts in texts_of.items()
            for text in texts
        ]
        self._leads = _longest_first((lead, ask) for ask, leads in words.leads.items() for lead in leads)
        self._colors = {color for colors in words.colors.values() for color in colors}
        self._meanings = {key: (*said, *words.also.get(key, ())) for key, said in words.words.items()}
        self._places = _longest_first(
            (re.sub(r" the$", "", said), meaning) for meaning in (*RELATIONS, "on") for said in self._meanings[meaning]
        )
        phrases = [*(said for texts in self._meanings.values() for said in texts), *self._colors, _ARTICLES]
        self._grammatical = {word for said in phrases for word in re.findall("[a-z]+", said)} - {"of", "to", "at"}

    def parse(self, text: object) -> Query:
        """What a sentence asks.

        Raises ``ValueError`` for what has no meaning here, ``Unmapped`` where a noun that is not known is the reason.
        """
        checked = check_text(text)
        rest, exact = split_exact(checked)
        _check_pieces(rest)
        turns = sorted(word for word in self.words.negations if re.search(rf"(?<![a-z]){word}(?![a-z'])", rest))
        if turns:
            raise ValueError(
                f"{checked!r}: {turns[0]!r} turns the phrase round, expected what is meant, not what is not"
            )
        ask, body = self._ask(rest.rstrip("?.!, "))
        phrase, unknown = self._phrase(_ARTICLE.sub("", body), checked)
        return Query(ask, phrase, exact, unknown)

    def _ask(self, text: str) -> tuple[str, str]:
        """How is asked, and what about: by the templates, else by what often stands before and after a phrase."""
        asked = "find"
        while True:
            ask, body = self._by_template(text)
            if body:
                return (asked if ask == "find" else ask), body
            tail = next((tail for tail in self.words.tails if text.endswith(f" {tail}")), "")
            ask, lead = next(((ask, lead) for lead, ask in self._leads if text.startswith(f"{lead} ")), ("find", ""))
            if not tail and not lead:
                return asked, text
            asked = asked if ask == "find" else ask
            text = text[len(lead) : len(text) - len(tail)].strip(" ,")

    def _by_template(self, text: str) -> tuple[str, str]:
        """Of all templates that fit the longest; no body where none does."""
        best = (0, "find", "")
        for ask, head, tail in self._templates:
            if not text.startswith(f"{head} " if head else "") or not text.endswith(f" {tail}" if tail else ""):
                continue
            body = text[len(head) : len(text) - len(tail)].strip()
            if body and len(head) + len(tail) > best[0]:
                best = (len(head) + len(tail), ask, body)
        return best[1:]

    def _phrase(self, text: str, whole: str) -> tuple[Phrase, tuple[str, ...]]:
        found: dict[str, str] = {}
        unknown: list[str] = []
        body = self._tail(self._adjective_first(text), found, unknown, whole)
        body = self._head(self._adjective_first(_ARTICLE.sub("", body)), found)
        found["noun"] = self._noun(body, unknown, whole)
        phrase = Phrase(**found)
        try:
            require_meaning(phrase, self.words)
        except ValueError as error:
            if unknown:
                raise Unmapped(unknown[0], f"and the nearest known noun does not fit: {error}") from error
            raise ValueError(f"{whole!r}: {error}") from error
        return phrase, tuple(unknown)

    def _adjective_first(self, text: str) -> str:
        """ "box is the nearest" as "nearest box"."""
        for _, _, words in self._adjectives():
            if match := re.fullmatch(rf"(.+?){_IS}(?: the)? {words}(?: one)?", text):
                return f"{words} {match[1]}"
        return text

    def _tail(self, text: str, found: dict[str, str], unknown: list[str], whole: str) -> str:
        """Take what follows the noun: side, relation, what it stands on. Returns what is left."""
        for side in SIDES:
            for words in self._meanings[side]:
                if "side" not in found and text.endswith(f" {words}"):
                    found["side"], text = side, text[: -len(words) - 1]
        for on in (False, True):  # what it is left of comes last: the box on the pallet left of the door
            for words, meaning in self._places:
                if (meaning == "on") != on:
                    continue
                match = re.search(rf" {words}(?: (?:{_ARTICLES}))? ", text)
                if match is None:
                    continue
                landmark = self._noun(text[match.end() :], unknown, whole)
                if on:
                    found["on"] = self.words.nouns[landmark].of
                else:
                    found |= {"relation": meaning, "landmark": landmark}
                text = text[: match.start()]
                break
        return re.sub(rf"{_IS}$", "", text)

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

    def _adjectives(self) -> Iterator[tuple[str, str, str]]:
        for meaning in _BEFORE_THE_NOUN:
            key = "choose" if meaning in SUPERLATIVES else "heat"
            yield from ((key, meaning, words) for words in self._meanings[meaning])
        yield from (("color", color, color) for color in sorted(self._colors))

    def _noun(self, text: str, unknown: list[str], whole: str) -> str:
        text = _ARTICLE.sub("", text.strip(" ,"))
        if text in self._nouns:
            return self._nouns[text]
        if self._grammatical.intersection(re.findall("[a-z]+", text)):
            raise ValueError(f"{whole!r}: {text!r} is not understood, {_EXPECTED}")
        known = f"expected one of {', '.join(noun.words[0] for noun in self.words.nouns.values())}, or words for them"
        if text in self.words.general:
            raise Unmapped(text, known)
        # A noun of four words at most: a longer rest is a sentence that was not understood.
        if self._nearest is None or not re.fullmatch(r"[a-z][a-z'-]*(?: [a-z'-]+){0,3}", text):
            raise ValueError(f"{whole!r}: {text or 'no noun'!r} is not known, {known}")
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


def _longest_first(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(set(pairs), key=lambda pair: (-len(pair[0]), pair))
