"""``gemini-ros phrases``: encode what a robot is told in words."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_noun, add_verb


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "phrases", "encode phrases as a model reads them")
    parser = add_verb(
        verbs, "encode", run_encode, "write the features of phrases, so that a robot needs no text encoder"
    )
    parser.add_argument(
        "phrases", nargs="+", metavar="PHRASE", help='one to four phrases, such as "the nearest person"'
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write (.npz)")
    parser.add_argument("--words", default="warehouse", metavar="NAME|YAML", help="their words (default warehouse)")


def run_encode(args: argparse.Namespace) -> None:
    from gemini_ros.language.encoder import TextEncoder
    from gemini_ros.language.features import encode_phrases, write_features
    from gemini_ros.language.words import load_words

    words = load_words(args.words)
    features = encode_phrases(args.phrases, TextEncoder(), words)
    for text, program in zip(features.texts, features.programs, strict=True):
        known = f", not known: {', '.join(program['unknown'])}, nearest taken" if program["unknown"] else ""
        print(f"phrase   {text}: {program['ask']} {program['noun']}{known}")
    print(f"wrote    {write_features(features, args.out)}")
