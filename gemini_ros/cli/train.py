"""``gemini-ros train``: train and score networks; Lightning's command line reads the options."""

from __future__ import annotations

import argparse

from gemini_ros.cli.arguments import Subparsers, add_noun


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "train", "train and score networks; options override the configuration file")
    texts = {"fit": "train a network", "test": "score a checkpoint with all modalities and without each one"}
    for verb, text in texts.items():
        parser = verbs.add_parser(verb, help=text, description=text, add_help=False)
        parser.set_defaults(run=run, passes_on=True, verb=verb)


def run(args: argparse.Namespace) -> None:
    from gemini_ros.training.fit import train

    train([args.verb, *args.rest])
