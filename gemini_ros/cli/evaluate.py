"""``gemini-ros evaluate``: run a model over bags offline and score it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gemini_ros.cli.arguments import (
    Subparsers,
    add_camera,
    add_criteria,
    add_model,
    add_ray,
    add_settings,
    add_shard,
    add_verb,
    add_workers,
    choice_of,
    mounting,
    names,
    require_one_pool,
    settings_of,
)
from gemini_ros.cli.output import print_lines
from gemini_ros.cli.results import conclude, criteria_of

if TYPE_CHECKING:
    from gemini_ros.evaluation.job import Job

# Options that were there before --set.
SHORTHANDS = {
    "--slop": "sync.slop_s",
    "--missing.policy": "missing.policy",
    "--missing.timeout_s": "missing.timeout_s",
    "--thermal-scale": "thermal.scale",
    "--thermal-offset": "thermal.offset",
}


def add(nouns: Subparsers) -> None:
    text = "run a model over bags offline, and report scores, latency and what became of every message"
    parser = add_verb(nouns, "evaluate", run, text)
    parser.add_argument("bags", nargs="+", type=Path, metavar="bag", help="MCAP file or bag directory; one or many")
    add_model(parser, "--model")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for report.html, results.json, frames.sqlite and summary.json",
    )
    add_criteria(parser)
    add_evaluation(parser)
    add_shard(parser, "evaluate")
    parser.add_argument(
        "--write",
        type=names,
        default=(),
        metavar="A,B",
        help="also write these outputs of the node to OUT/BAG.outputs.mcap: labels, confidence, color, camera_info, "
        "costmap, points, obstacles, ground, scan, depth_completed, night_view, phrase_masks, keepout_mask, "
        "target_pose, answers (always with phrases)",
    )
    parser.add_argument(
        "--rerun",
        type=Path,
        metavar="FILE.rrd",
        help="also write a recording for the Rerun viewer: images, labels, map, poses; of several bags one each, in a "
        "folder that is called like FILE",
    )
    spoilt = parser.add_argument_group("robustness")
    spoilt.add_argument(
        "--robustness", action="store_true", help="also score about 40 kinds of missing and degraded images"
    )
    spoilt.add_argument(
        "--robustness-every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="take frames at least this far apart (default: all with truth)",
    )
    spoilt.add_argument(
        "--holes",
        type=Path,
        metavar="BAG",
        help="bag of a real depth sensor, whose holes are cut into the depth images too",
    )


def add_evaluation(parser: argparse.ArgumentParser) -> None:
    """How bags are evaluated; ``job_of`` reads it."""
    parser.add_argument(
        "--map", type=Path, metavar="FILE", help="YAML file that maps each class of the truth to a class of the model"
    )
    parser.add_argument(
        "--condition",
        action="append",
        default=[],
        dest="conditions",
        metavar="/TOPIC|NAME:START-END",
        help="group frames by the value of a topic, or by a time range in seconds; repeatable",
    )
    add_workers(parser)
    add_ray(parser, "the bags")
    parser.add_argument("--fresh", action="store_true", help="evaluate bags again that are in the results already")
    parser.add_argument(
        "--modalities", type=names, metavar="A,B", help="streams to read (default: the model's, and depth)"
    )
    parser.add_argument(
        "--camera-in-base", type=mounting, metavar="X,Y,Z,R,P,Y", help="mounting of the camera (default: /tf_static)"
    )
    add_camera(parser)
    add_settings(parser)
    for option, name in SHORTHANDS.items():
        parser.add_argument(option, metavar="VALUE", help=f"short for --set {name}=VALUE")


def run(args: argparse.Namespace) -> int:
    import gemini_ros.evaluation.page  # noqa: F401 (a package that the report lacks is said before the walk)
    from gemini_ros.evaluation.many import bag_names, evaluate_many
    from gemini_ros.evaluation.outputs import bag_stem
    from gemini_ros.evaluation.pipeline import evaluate_one
    from gemini_ros.evaluation.rerun_recording import require_rerun

    criteria, job = criteria_of(args), job_of(args)
    require_one_pool(args)
    if args.rerun:
        require_rerun(args.rerun)
    if len(args.bags) > 1 or args.shard or args.ray:
        store = evaluate_many(
            args.bags,
            job,
            args.out,
            workers=args.workers,
            shard=args.shard or (1, 1),
            fresh=args.fresh,
            ray=args.ray,
            rerun=args.rerun,
            say=print_lines,
        )
        return conclude(args, store, criteria, bag_names(args.bags), "evaluate")
    summary = evaluate_one(args.bags[0], job, args.out, say=print_lines, rerun=args.rerun)
    print_lines(summary.lines())
    print(f"wrote    {args.out / 'summary.json'}" + (", contact_sheet.png" if summary.inferences else ""))
    bags = {bag_stem(args.bags[0]): args.bags[0].resolve()}
    return conclude(args, args.out / "frames.sqlite", criteria, bags, "evaluate", page=False)


def job_of(args: argparse.Namespace) -> Job:
    """How the bags are to be evaluated."""
    from gemini_ros.core.resources import find_model
    from gemini_ros.evaluation.conditions import parse_condition
    from gemini_ros.evaluation.job import Job
    from gemini_ros.evaluation.robustness import RobustnessOptions
    from gemini_ros.evaluation.truth import read_truth_map
    from gemini_ros.inference.cpu import ONNXRUNTIME
    from gemini_ros.pipeline.settings import parse_assignment

    shorthands = ((name, getattr(args, option[2:].replace("-", "_"))) for option, name in SHORTHANDS.items())
    more = dict(parse_assignment(f"{name}={value}") for name, value in shorthands if value is not None)
    if args.modalities:
        more["modalities"] = list(args.modalities)
    if args.camera_in_base:
        more["camera.in_base"] = list(args.camera_in_base)
    # A robot's file names the robot's backend; here only one that is asked for takes the place of the usual one.
    asked = [word.partition("=")[2] for word in args.assignments if word.startswith("backend=")]
    choice = choice_of(args)
    robust = getattr(args, "robustness", False)
    if not robust and (getattr(args, "holes", None) or getattr(args, "robustness_every", 0.0)):
        raise ValueError("--robustness-every and --holes belong to the robustness protocol: add --robustness")
    return Job(
        find_model(args.model),
        settings_of(args, more),
        tuple(args.write),
        backend=asked[-1] if asked else ONNXRUNTIME,
        truth_map=read_truth_map(args.map) if args.map else None,
        conditions=tuple(map(parse_condition, args.conditions)),
        camera=choice.camera,
        topics=tuple(sorted(choice.topics.items())),
        robustness=RobustnessOptions(args.robustness_every, args.holes) if robust else None,
    )
