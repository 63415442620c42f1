"""Files of encoded phrases (npz): a robot that has one needs no text encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import parse_json, read_npz
from gemini_ros.core.files import atomic_path
from gemini_ros.core.phrase_maps import MOST_PHRASES, MOST_PIECES, TEXT_WIDTH
from gemini_ros.language.encoder import SHA256, TextEncoder
from gemini_ros.language.exact import split_exact
from gemini_ros.language.grammar import Grammar, check_text
from gemini_ros.language.nearest import NearestNoun
from gemini_ros.language.words import Words

_ARRAYS = {"phrases", "phrase_mask", "about"}
_LARGEST = 1e3


@dataclass(frozen=True)
class PhraseFeatures:
    """``phrases`` float32 (n, 16, 384), ``phrase_mask`` float32 (n, 16), n from 1 to 4, in the order of ``texts``.

    ``programs``: what each means by the words file (``Query.to_dict``).
    """

    texts: tuple[str, ...]
    programs: tuple[dict[str, Any], ...]
    phrases: npt.NDArray[np.float32]
    phrase_mask: npt.NDArray[np.float32]


def encode_phrases(texts: Sequence[str], encoder: TextEncoder, words: Words) -> PhraseFeatures:
    """The features of 1 to 4 phrases. Raises ``ValueError`` for another number, and a text that is refused."""
    if not 1 <= len(texts) <= MOST_PHRASES:
        raise ValueError(f"{len(texts)} phrases, expected 1 to {MOST_PHRASES}")
    checked = tuple(check_text(text) for text in texts)
    grammar = Grammar(words, NearestNoun(encoder, words))
    programs = tuple(grammar.parse(text).to_dict() for text in checked)
    encoded = [encoder.features(without_exact(text)) for text in checked]
    return PhraseFeatures(checked, programs, np.stack([e[0] for e in encoded]), np.stack([e[1] for e in encoded]))


def without_exact(text: str) -> str:
    """What is encoded of a checked text: exact bounds are measured, so no network is asked about them."""
    return split_exact(text)[0]


def write_features(features: PhraseFeatures, path: str | Path) -> Path:
    """Write a file that ``read_features`` reads; returns its path."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: expected a name that ends in .npz")
    about = {"encoder": SHA256, "texts": features.texts, "programs": features.programs}
    data = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with atomic_path(path) as part:
        np.savez_compressed(part, phrases=features.phrases, phrase_mask=features.phrase_mask, about=data)
    return path


def read_features(path: str | Path) -> PhraseFeatures:
    """Encoded phrases. Raises ``ValueError`` for another encoder's, and for impossible arrays."""
    arrays = read_npz(path)
    if set(arrays) != _ARRAYS:
        raise ValueError(f"{path}: arrays {sorted(arrays)!s:.200}, expected {', '.join(sorted(_ARRAYS))}")
    phrases, mask, data = arrays["phrases"], arrays["phrase_mask"], arrays["about"]
    about = parse_json(_text(data, path), str(path))
    if not isinstance(about, dict) or about.get("encoder") != SHA256:
        found = about.get("encoder") if isinstance(about, dict) else about
        raise ValueError(f"{path}: features of the encoder {found!s:.80}, expected {SHA256}: encode the phrases again")
    texts: Any = about.get("texts")
    programs: Any = about.get("programs")
    count = len(texts) if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else 0
    if not (1 <= count <= MOST_PHRASES and _are_programs(programs, count)):
        raise ValueError(f"{path}: {count} texts, expected 1 to {MOST_PHRASES}, each with a program")
    for name, array, shape in (
        ("phrases", phrases, (count, MOST_PIECES, TEXT_WIDTH)),
        ("phrase_mask", mask, (count, MOST_PIECES)),
    ):
        if array.dtype != np.float32 or array.shape != shape:
            raise ValueError(f"{path}: {name} {array.dtype} {array.shape}, expected float32 {shape}")
    if not (np.isfinite(phrases).all() and np.abs(phrases).max() < _LARGEST):
        raise ValueError(f"{path}: phrases with values that are not finite or above {_LARGEST:g}: encode them again")
    if not (np.isin(mask, (0, 1)).all() and (np.diff(mask) <= 0).all() and (mask.sum(-1) >= 2).all()):
        raise ValueError(f"{path}: phrase_mask, expected ones, two or more, and then zeros")
    return PhraseFeatures(tuple(map(check_text, texts)), tuple(programs), phrases, mask)


def _are_programs(programs: object, count: int) -> bool:
    return isinstance(programs, list) and len(programs) == count and all(isinstance(p, dict) for p in programs)


def _text(data: npt.NDArray[Any], path: str | Path) -> str:
    if data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError(f"{path}: about {data.dtype} {data.shape}, expected the bytes of JSON")
    try:
        return data.tobytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: about is not text") from error
