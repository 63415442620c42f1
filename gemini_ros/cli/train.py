"""``gemini-ros train``: train and score networks; Lightning's command line reads the options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_noun, add_size, add_verb

_WEIGHTS, _CHECKPOINT = "--model.weights", "--ckpt_path"
_FILES = {
    **dict.fromkeys(("--config", "-c"), "a YAML file such as config/training/warehouse_rgbd_nano.yaml"),
    _WEIGHTS: "a checkpoint (*.ckpt), a weights file (*.safetensors) or the name of a shipped model",
    _CHECKPOINT: "a checkpoint (*.ckpt) that `train fit` wrote",
    "--model.imagenet": "a file of published ImageNet weights",
}


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "train", "train and score networks; options override the configuration file")
    texts = {"fit": "train a network", "test": "score a checkpoint with all modalities and without each one"}
    for verb, text in texts.items():
        parser = verbs.add_parser(verb, help=text, description=text, add_help=False)
        parser.set_defaults(run=run, passes_on=True, verb=verb)
    phrases = add_verb(verbs, "phrases", run_phrases, "train a frozen network to find phrases; run again to go on")
    phrases.add_argument(
        "--config", type=Path, required=True, metavar="YAML", help="such as config/training/phrases/nano.yaml"
    )
    phrases.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for caches, checkpoints, model")
    phrases.add_argument(
        "--data", type=Path, action="append", metavar="DIR", help="folder to learn from; may come again (config's)"
    )
    phrases.add_argument("--model", metavar="NAME|FILE", help="weights of the plain network (config's)")
    phrases.add_argument("--seed", type=int, metavar="N", help="seed of weights and batches (config's)")
    _add_instances(verbs)


def _add_instances(verbs: Subparsers) -> None:
    text = "train a frozen network to tell single things apart; run again to go on"
    parser = add_verb(verbs, "instances", run_instances, text)
    parser.add_argument("--model", required=True, metavar="NAME|FILE", help="weights of the plain network")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="simulated folder to learn from; may come again",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for caches, checkpoints, model")
    parser.add_argument("--validation", type=Path, metavar="DIR", help="simulated folder to score on")
    parser.add_argument(
        "--label-set", metavar="NAME|FILE", help="its classes with instances: true are told apart (default warehouse)"
    )
    add_size(parser, "of the network (default the model's)")
    parser.add_argument("--steps", type=int, metavar="N", help="batches to learn from (default 2000)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of weights and batches (default 0)")


def run_instances(args: argparse.Namespace) -> None:
    from gemini_ros.training.instances.fit import train_instances
    from gemini_ros.training.instances.options import InstanceTraining

    given = {
        "validation": args.validation,
        "label_set": args.label_set,
        "network_size": args.size,
        "steps": args.steps,
        "seed": args.seed,
    }
    some = {name: value for name, value in given.items() if value is not None}
    train_instances(InstanceTraining(args.model, tuple(args.data), **some), args.out)


def run_phrases(args: argparse.Namespace) -> None:
    from gemini_ros.training.language.fit import train_phrases
    from gemini_ros.training.language.options import read_options

    given = {"model": args.model, "seed": args.seed, "folders": args.data and [str(folder) for folder in args.data]}
    train_phrases(read_options(args.config, {key: v for key, v in given.items() if v is not None}), args.out)


def run(args: argparse.Namespace) -> None:
    for option, path in _files(args.rest):
        _require_file(option, path)
    from gemini_ros.training.fit import train

    train([args.verb, *args.rest])


def _files(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options that name files, as ``--name value`` or ``--name=value``, before Lightning's parser sees them."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in _FILES:
            yield option, value if equals else following


def _require_file(option: str, path: str) -> None:
    """Raise ``ValueError`` for a file that is not there, and for one that no training starts from."""
    from gemini_ros.core.resources import WEIGHTS_SUFFIX, shipped_models

    if path in ("", "null") or "\n" in path or "{" in path:  # jsonargparse takes YAML itself, too
        return
    expected = _FILES[option]
    if option == _WEIGHTS:
        shipped = shipped_models(WEIGHTS_SUFFIX)
        if path in shipped:
            return
        expected += f": {', '.join(sorted(shipped))}"
    if not Path(path).expanduser().is_file():
        raise ValueError(f"{option} {path}: no such file, expected {expected}")
    if option in (_WEIGHTS, _CHECKPOINT) and path.endswith(".onnx"):
        raise ValueError(f"{option} {path}: an ONNX file holds a network to run, not to train; expected {expected}")
    if option == _CHECKPOINT and path.endswith(WEIGHTS_SUFFIX):
        raise ValueError(f"{option} {path}: weights without a training to go on with; start from them with {_WEIGHTS}")
