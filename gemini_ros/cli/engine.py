"""``gemini-ros engine``: build, describe, list and remove TensorRT engines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gemini_ros.cli.arguments import Subparsers, add_cache_dir, add_model, add_noun, add_size, add_verb
from gemini_ros.cli.output import print_error, print_lines

if TYPE_CHECKING:
    from gemini_ros.inference.cache import EngineCache


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "engine", "build, describe, list and remove TensorRT engines")
    _add_build(verbs)
    info = add_verb(verbs, "info", run_info, "print the record of an engine")
    info.add_argument("engine", type=Path, help="X.engine, or the X.json beside it")
    add_cache_dir(add_verb(verbs, "list", run_list, "list the engines in the cache"))
    _add_prune(verbs)


def _add_build(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "build", run_build, "build the engine of a model for one image size")
    add_model(parser)
    add_size(parser, "size of the camera's images", required=True)
    add_cache_dir(parser)
    parser.add_argument(
        "--library",
        default="tensorrt",
        choices=("tensorrt", "tensorrt_rtx"),
        help="library to build with (default tensorrt)",
    )
    parser.add_argument(
        "--compute-capability",
        metavar="X.Y",
        help="compile ahead of time for any GPU of this compute capability, such as 8.6 (tensorrt_rtx only; default: "
        "this machine's GPU)",
    )
    parser.add_argument(
        "--workspace-mb", type=int, default=2048, metavar="N", help="memory limit of the build (default 2048)"
    )
    parser.add_argument(
        "--optimization-level", type=int, default=3, choices=range(6), help="0 builds fastest, 5 longest (default 3)"
    )


def run_build(args: argparse.Namespace) -> int:
    from gemini_ros.core.resources import find_model
    from gemini_ros.inference.cache import EngineCache
    from gemini_ros.inference.engine_tool import build
    from gemini_ros.inference.engines import EngineRejectedError
    from gemini_ros.inference.tensorrt.build import BuildOptions

    cache = EngineCache(args.cache_dir)
    try:
        entry = build(
            find_model(args.model),
            args.size,
            cache,
            BuildOptions(args.workspace_mb, args.optimization_level),
            _Progress(),
            library=args.library,
            compute_capability=args.compute_capability,
        )
    except EngineRejectedError as error:
        print_error(error)
        return 1
    print_lines(entry.lines())
    _print_note(cache)
    return 0


class _Progress:
    """Prints a build's progress to stderr: each new phase, and every twentieth of the way."""

    def __init__(self) -> None:
        self._printed: tuple[int, str] | None = None

    def __call__(self, share: float, phase: str) -> None:
        step = (round(20 * share), phase.partition(":")[0])
        if step != self._printed:
            print(f"{share:4.0%} {phase}", file=sys.stderr)
            self._printed = step


def run_info(args: argparse.Namespace) -> None:
    from gemini_ros.inference.engine_tool import describe

    print(describe(args.engine))


def run_list(args: argparse.Namespace) -> None:
    from gemini_ros.inference.engine_tool import listing

    cache = _cache_that_is_there(args.cache_dir)
    print_lines(listing(cache.entries()))
    _print_note(cache)


def _cache_that_is_there(directory: Path | None) -> EngineCache:
    """The user's own, or the one that was named and no other: who keeps house in one means the others to stay."""
    from gemini_ros.inference.cache import EngineCache

    return EngineCache(directory, alone=directory is not None)


def _print_note(cache: EngineCache) -> None:
    if cache.note:
        print(f"note: {cache.note}")


def _add_prune(verbs: Subparsers) -> None:
    text = "remove engines that were rejected, are damaged, or were built for another GPU or library version"
    parser = add_verb(verbs, "prune", run_prune, text)
    add_cache_dir(parser)
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="also remove engines older than this")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")


def run_prune(args: argparse.Namespace) -> None:
    from gemini_ros.inference.engine_tool import prune

    cache = _cache_that_is_there(args.cache_dir)
    pruned = prune(cache, older_than_days=args.older_than, dry_run=args.dry_run)
    print_lines(pruned.lines())
    _print_note(cache)
