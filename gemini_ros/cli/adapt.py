"""``gemini-ros adapt``: what drives of a robot teach about its own floor, without annotation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gemini_ros.cli.arguments import Subparsers, add_camera, add_settings, add_verb, choice_of, settings_of
from gemini_ros.cli.output import print_error, print_lines

if TYPE_CHECKING:
    from gemini_ros.datasets.hindsight.recording import Lesson


def add(nouns: Subparsers) -> None:
    text = "train a model further on drives of its robot, labelled by what it measured near, or drove over, later on"
    parser = add_verb(nouns, "adapt", run, text)
    parser.add_argument("bags", nargs="+", type=Path, metavar="bag", help="MCAP file or bag directory; one or many")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--model", metavar="M", help="train this one further: X.onnx with X.safetensors beside it, or a name"
    )
    what.add_argument("--labels-only", action="store_true", help="write the labelled frames as a data set")
    what.add_argument("--dry-run", action="store_true", help="only say what the bags can teach")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write: a new one, or one of the same --model run, which goes on",
    )
    parser.add_argument(
        "--every", type=float, default=0.2, metavar="SECONDS", help="take frames at least this far apart (default 0.2)"
    )
    parser.add_argument("--licence", metavar="TEXT", help="under which licence the recordings are")
    parser.add_argument(
        "--core-hours",
        type=float,
        metavar="HOURS",
        help="processor time of the training with --model, over all cores (default 0.3)",
    )
    parser.add_argument(
        "--simulation",
        type=Path,
        metavar="DIR",
        help="simulated frames to mix in with --model (default: frames are rendered into --out)",
    )
    add_camera(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    if args.model is None and (args.core_hours is not None or args.simulation):
        raise ValueError("--core-hours and --simulation are of a training: add --model M, or leave them out")
    return _run_model(args) if args.model is not None else _run_labels(args)


def _run_model(args: argparse.Namespace) -> int:
    from gemini_ros.core.spread import telling_what_is_kept
    from gemini_ros.datasets.hindsight.recording import Recording
    from gemini_ros.datasets.hindsight.teach import LICENCE
    from gemini_ros.training.adaptation.asked import CORE_HOURS, Adaptation
    from gemini_ros.training.adaptation.run import PAGE, adapt

    if not args.out:
        raise ValueError("--model writes a folder: add --out DIR")
    settings, choice = settings_of(args, {}), choice_of(args)
    asked = Adaptation(
        [Recording(bag, settings, choice, args.every) for bag in args.bags],
        args.model,
        args.out,
        core_hours=CORE_HOURS if args.core_hours is None else args.core_hours,
        simulation=args.simulation,
        licence=args.licence or LICENCE,
    )
    with telling_what_is_kept(lambda: f"finished steps are kept in {args.out}"):
        result = adapt(asked, print_lines)
    print_lines(result.lines())
    for refusal in result.refusals:
        print_error(f"not exported: worse than before: {refusal}")
    print(f"report   {args.out / PAGE}")
    return result.status


def _run_labels(args: argparse.Namespace) -> int:
    from gemini_ros.datasets.from_bag import layout_of_folder
    from gemini_ros.datasets.hindsight.recording import Recording
    from gemini_ros.datasets.hindsight.teach import LICENCE, preview, write_hindsight

    if args.labels_only and not args.out:
        raise ValueError("--labels-only writes a data set: add --out DIR")
    if args.dry_run and args.out:
        raise ValueError("--dry-run writes nothing: leave out --out")
    settings, choice = settings_of(args, {}), choice_of(args)
    recordings = [Recording(bag, settings, choice, args.every) for bag in args.bags]
    if args.dry_run:
        found = preview(recordings, print_lines)
        refusals = [each.refusal for each in found]
        _tell_parts([each.lesson for each in found if not each.refusal])
    else:
        taught = write_hindsight(recordings, args.out, licence=args.licence or LICENCE, say=print_lines)
        refusals = [result.refusal for result in taught]
        if not all(refusals):
            check = f"gemini-ros dataset check {args.out} --layout {layout_of_folder(args.out)} --label-set nav5"
            print(f"wrote    {args.out}: {check}")
    for bag, refusal in zip(args.bags, refusals, strict=True):
        if refusal:
            print_error(f"{bag}: teaches nothing: {refusal}")
    return 1 if any(refusals) else 0


def _tell_parts(lessons: Sequence[Lesson]) -> None:
    """Print what ``--model`` would learn from and keep aside, or why that is too little."""
    from gemini_ros.training.adaptation.parts import Drive, part

    drives = [
        Drive(lesson.bag.name, [f"{k} {stamp}" for stamp in lesson.stamps], lesson.stamps, lesson.robots)
        for k, lesson in enumerate(lessons)
    ]
    if not drives:
        return
    try:
        print(part(drives).line())
    except ValueError as error:
        print(f"note: --model would refuse this: {error}")
