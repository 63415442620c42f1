"""``gemini-ros adapt``: what drives of a robot teach about its own floor, without annotation."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_camera, add_settings, add_verb, choice_of, settings_of
from gemini_ros.cli.output import print_error, print_lines


def add(nouns: Subparsers) -> None:
    text = "label the frames of a drive in hindsight: by what the robot measured near, or drove over, later on"
    parser = add_verb(nouns, "adapt", run, text)
    parser.add_argument("bags", nargs="+", type=Path, metavar="bag", help="MCAP file or bag directory; one or many")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--labels-only", action="store_true", help="write the labelled frames as a data set")
    what.add_argument("--dry-run", action="store_true", help="only say what the bags can teach")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write: a new or an empty one")
    parser.add_argument(
        "--every", type=float, default=0.2, metavar="SECONDS", help="take frames at least this far apart (default 0.2)"
    )
    parser.add_argument("--licence", metavar="TEXT", help="under which licence the recordings are, for dataset.yaml")
    add_camera(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    from gemini_ros.datasets.hindsight.recording import Recording, examine
    from gemini_ros.datasets.hindsight.teach import LICENCE, write_hindsight

    if args.labels_only and not args.out:
        raise ValueError("--labels-only writes a data set: add --out DIR")
    if args.dry_run and args.out:
        raise ValueError("--dry-run writes nothing: leave out --out")
    settings, choice = settings_of(args, {}), choice_of(args)
    recordings = [Recording(bag, settings, choice, args.every) for bag in args.bags]
    if args.dry_run:
        refusals = []
        for recording in recordings:
            lesson = examine(recording)
            print_lines([*recording.topics(), *lesson.lines()])
            refusals.append(lesson.refusal)
    else:
        taught = write_hindsight(recordings, args.out, licence=args.licence or LICENCE, say=print_lines)
        refusals = [result.refusal for result in taught]
        if not all(refusals):
            print(f"wrote    {args.out}: gemini-ros dataset check {args.out} --layout recorded --label-set nav5")
    for bag, refusal in zip(args.bags, refusals, strict=True):
        if refusal:
            print_error(f"{bag}: teaches nothing: {refusal}")
    return 1 if any(refusals) else 0
