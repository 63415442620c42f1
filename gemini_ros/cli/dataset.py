"""``gemini-ros dataset``: make and check training data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemini_ros.cli.arguments import (
    Subparsers,
    add_bag,
    add_camera,
    add_layout,
    add_noun,
    add_ray,
    add_settings,
    add_shard,
    add_size,
    add_slop,
    add_verb,
    add_workers,
    choice_of,
    mounting_error,
    names,
    require_one_pool,
    settings_of,
)
from gemini_ros.cli.output import print_lines

if TYPE_CHECKING:
    from gemini_ros.pipeline.settings import Settings
    from gemini_ros.simulation.scenes.courses import CourseOptions
    from gemini_ros.simulation.tour import TourOptions


# The options of ``simulate`` that belong to one target, and what stands for them where they are not given. The parser
# has None for all, so that one given to the wrong target is seen.
_DATA_SET: dict[str, Any] = {"scenes": 100, "frames_per_scene": 12, "workers": 1, "ray": None, "shard": None}
_BAG: dict[str, Any] = {
    "duration": 10.0,
    "person_at": None,
    "mounting_error": None,
    "z_drift": 0.0,
    "pose_drift": 0.0,
    "camera_height": None,
    "camera_pitch": None,
    "depth_sensor": "stereo",
    "way": None,
    "follower": False,
    "course": False,
    "hazards": None,
    "drop_depth": None,
    "floor": None,
    "approach": False,
    "ramp": None,
}


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "dataset", "make and check training data")
    _add_simulate(verbs)
    _add_check(verbs)
    _add_from_bag(verbs)
    _add_import_labels(verbs)
    _add_questions(verbs)


def _add_simulate(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "simulate", run_simulate, "render frames to train on, or a robot's drive as a bag")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="write or complete a data set of independent frames")
    target.add_argument("--bag", type=Path, metavar="FILE", help="write a drive as an MCAP bag")
    parser.add_argument("--seed", type=int, default=0, help="number that the scenes are generated from (default 0)")
    add_size(parser, "image size (default 320x240)", default=(320, 240))
    parser.add_argument(
        "--light",
        choices=("day", "dim", "dark", "black", "fading"),
        help="light level (default: drawn per scene; day for a bag). A bag can also be fading, from day to black",
    )
    parser.add_argument(
        "--place",
        choices=("home", "office", "warehouse", "course", "mixed", "near"),
        help="what to render, labelled with nav5. A data set shows it through cameras of many kinds; a bag is a drive "
        "of up to 200 s round a home, office or warehouse (default: warehouses through the robot's camera, labelled "
        "with the set warehouse)",
    )
    images = parser.add_argument_group("data set")
    images.add_argument("--scenes", type=int, help="number of scenes (default 100)")
    images.add_argument("--frames-per-scene", type=int, help="frames in each (default 12)")
    add_workers(images, "--processes")
    add_ray(images, "the scenes")
    add_shard(images, "render")
    drive = parser.add_argument_group("bag")
    drive.add_argument("--duration", type=float, metavar="S", help="seconds of the drive (default 10)")
    drive.add_argument(
        "--person-at", type=float, metavar="S", help="second at which a person steps in front of the robot"
    )
    drive.add_argument(
        "--mounting-error",
        type=mounting_error,
        metavar="M,DEG,DEG",
        help="height, pitch (down) and roll by which the camera differs from /tf_static",
    )
    drive.add_argument(
        "--z-drift", type=float, metavar="M", help="drift of the odometry's z, metres in 100 m (default 0)"
    )
    drive.add_argument(
        "--pose-drift",
        type=float,
        metavar="SHARE",
        help="drift of the odometry's x, y and yaw, metres a metre (default 0)",
    )
    drive.add_argument(
        "--camera-height", type=float, metavar="M", help="height of the camera (default: drawn from the seed)"
    )
    drive.add_argument(
        "--camera-pitch", type=float, metavar="DEG", help="how far the camera looks down (default: drawn from the seed)"
    )
    drive.add_argument(
        "--depth-sensor",
        choices=("stereo", "structured"),
        help="what measures depth (default stereo)",
    )
    place = parser.add_argument_group("place (a bag with --place)")
    place.add_argument(
        "--way", type=int, metavar="N", help="another drive through the same place for each number (default 0)"
    )
    place.add_argument("--follower", action="store_true", help="let a person walk behind the robot")
    course = parser.add_argument_group("course (a bag with --course)")
    course.add_argument(
        "--course",
        action="store_true",
        help="drive past a hazard every 5 m, labelled with nav5, instead of a warehouse",
    )
    course.add_argument(
        "--hazards",
        metavar="NAMES",
        help="kinds or groups of hazards, separated by commas; none for a clear path (default: all)",
    )
    course.add_argument("--drop-depth", type=float, metavar="M", help="depth of holes and docks (default: 0.1 to 1.2)")
    course.add_argument(
        "--floor", choices=("plain", "black", "mirror"), help="what the floor is like, of a place too (default plain)"
    )
    course.add_argument(
        "--approach", action="store_true", help="drive straight at the first hazard and stop before it, not past all"
    )
    course.add_argument("--ramp", type=float, metavar="DEG", help="slope of ramps between the hazards (default 0)")
    parser.set_defaults(**dict.fromkeys((*_DATA_SET, *_BAG)))


def run_simulate(args: argparse.Namespace) -> None:
    _complete(args)
    require_one_pool(args)
    if args.bag:
        from gemini_ros.simulation.drive import MountingError
        from gemini_ros.simulation.drive_bag import write_drive_bag
        from gemini_ros.simulation.rig import Rig

        write_drive_bag(
            args.bag,
            seed=args.seed,
            duration_s=args.duration,
            size=args.size,
            light=args.light or "day",
            person_at_s=args.person_at,
            course=_course(args),
            tour=_tour(args),
            rig=Rig(args.camera_height, args.camera_pitch, args.depth_sensor),
            mounting_error=MountingError(*args.mounting_error) if args.mounting_error else None,
            z_drift=args.z_drift / 100,
            pose_drift=args.pose_drift,
        )
        return
    from gemini_ros.simulation.dataset import write_dataset

    write_dataset(
        args.out,
        seed=args.seed,
        scenes=args.scenes,
        frames_per_scene=args.frames_per_scene,
        size=args.size,
        light=args.light,
        place=args.place,
        workers=args.workers,
        shard=args.shard or (1, 1),
        ray=args.ray,
        say=print_lines,
    )


def _complete(args: argparse.Namespace) -> None:
    """Fill in what is not given. Raise ``ValueError`` naming the options that belong to the other target."""
    foreign = _DATA_SET if args.bag else _BAG
    if given := [f"--{name.replace('_', '-')}" for name in foreign if getattr(args, name) is not None]:
        target, other = "--out writes a data set", "a drive with --bag"
        if args.bag:
            target, other = "--bag writes a drive", "a data set with --out"
        raise ValueError(f"{target}, which takes no {', '.join(given)}: leave that out, or write {other}")
    for name, default in (_DATA_SET | _BAG).items():
        if getattr(args, name) is None:
            setattr(args, name, default)


def _course(args: argparse.Namespace) -> CourseOptions | None:
    from gemini_ros.simulation.scenes.courses import CourseOptions, parse_hazards

    given = {
        "hazards": None if args.hazards is None else parse_hazards(args.hazards),
        "drop_depth_m": args.drop_depth,
        "floor": args.floor if args.course else None,
        "ramp_deg": args.ramp,
        "approach": args.approach or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if options and not args.course:
        raise ValueError("--hazards, --drop-depth, --ramp and --approach belong to a course: add --course")
    return CourseOptions(**options) if args.course else None


def _tour(args: argparse.Namespace) -> TourOptions | None:
    from gemini_ros.simulation.tour import TourOptions

    if args.place:
        return TourOptions(args.place, args.way or 0, args.floor or "plain", args.follower)
    if args.way is not None or args.follower:
        raise ValueError("--way and --follower belong to a drive round a place: add --place home, office or warehouse")
    if args.floor and not args.course:
        raise ValueError("--floor belongs to a course or a place: add --course, or --place home, office or warehouse")
    return None


def _add_check(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "check", run_check, "summarise a data set and list its broken files")
    parser.add_argument("folder", type=Path, help="folder of the data set")
    add_layout(parser)
    parser.add_argument("--split", metavar="NAME", help="check only this split, such as train (default: all)")
    parser.add_argument(
        "--label-set", metavar="NAME|YAML", help="classes of the data set, where the layout does not name them"
    )
    parser.add_argument(
        "--target",
        choices=("depth", "rgb"),
        help="also check that a translation model can learn to make this from it: depth without holes, or with --dark "
        "the same frames by day",
    )
    parser.add_argument("--dark", type=Path, metavar="DIR", help="the same frames in the dark, with --target rgb")


def run_check(args: argparse.Namespace) -> int:
    from gemini_ros.datasets.check import check_dataset
    from gemini_ros.datasets.layout import load_layout
    from gemini_ros.datasets.pairs import check_dark_pairs, check_depth_target

    if (args.target == "rgb") != (args.dark is not None):
        raise ValueError("--target rgb and --dark DIR (the same frames in the dark) go together: give both or none")
    layout = load_layout(args.layout)
    check = check_dataset(args.folder, layout, label_set=args.label_set, split=args.split)
    print_lines(check.lines())
    if check.broken or args.target is None:
        return 2 if check.broken else 0
    if args.target == "rgb":
        pairs = check_dark_pairs(args.folder, args.dark, layout, args.split)
    else:
        pairs = check_depth_target(args.folder, layout, args.split)
    print_lines(pairs.lines())
    return 2 if pairs.broken else 0


def _add_from_bag(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "from-bag", run_from_bag, "write the paired images of a bag for annotation")
    add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write: a new or an empty one")
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="take frames at least this far apart (default all)"
    )
    parser.add_argument(
        "--frames",
        type=Path,
        metavar="FILE",
        help="take only these frames: worst.csv of `evaluate`, or a list like it",
    )
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="label the frames with this model first, for correction in CVAT (prelabels.zip)",
    )
    add_slop(parser)
    parser.add_argument(
        "--modalities", type=names, metavar="A,B", help="images that a frame must have (default: all that the bag has)"
    )
    add_settings(parser)
    add_camera(parser)


def run_from_bag(args: argparse.Namespace) -> None:
    from gemini_ros.datasets.annotation import read_stamps
    from gemini_ros.datasets.from_bag import write_frame_folder

    more = {} if args.slop is None else {"sync.slop_s": args.slop}
    settings = settings_of(args, more | ({"modalities": list(args.modalities)} if args.modalities else {}))
    folder = write_frame_folder(
        args.bag,
        args.out,
        every_s=args.every,
        settings=settings,
        choice=choice_of(args),
        stamps=read_stamps(args.frames, args.bag) if args.frames else None,
    )
    print_lines(folder.lines())
    if args.model:
        prelabels = _prelabels(args, settings)
        print(f"wrote    {prelabels}: in CVAT upload it to a task of these images, as 'Segmentation mask 1.1'")


def _prelabels(args: argparse.Namespace, settings: Settings) -> Path:
    from contextlib import closing

    from gemini_ros.core.resources import find_model
    from gemini_ros.datasets.annotation import write_prelabels
    from gemini_ros.inference import load_segmenter
    from gemini_ros.pipeline.settings import label_set_for

    with closing(load_segmenter(find_model(args.model))) as segmenter:
        return write_prelabels(args.out, segmenter, label_set_for(segmenter.info, settings))


def _add_import_labels(verbs: Subparsers) -> None:
    text = "import annotations of CVAT or COCO into a folder of `from-bag`"
    parser = add_verb(verbs, "import-labels", run_import_labels, text)
    parser.add_argument("folder", type=Path, help="folder of `dataset from-bag`, or of --layout")
    parser.add_argument(
        "--layout", metavar="NAME|YAML", help="where the images of another folder are (default: those of from-bag)"
    )
    parser.add_argument("archive", type=Path, help="export of CVAT, format 'Segmentation mask 1.1', or COCO's JSON")
    parser.add_argument("--label-set", required=True, metavar="NAME|YAML", help="the classes that are annotated")
    parser.add_argument("--replace", action="store_true", help="overwrite existing labels")


def run_import_labels(args: argparse.Namespace) -> None:
    from gemini_ros.core.labels import load_label_set
    from gemini_ros.datasets.annotation import LAYOUT, take_labels

    label_set = load_label_set(args.label_set)
    taken = take_labels(args.folder, args.archive, label_set, layout=args.layout or LAYOUT, replace=args.replace)
    print(f"wrote    {taken} label images to {args.folder}")


def _add_questions(verbs: Subparsers) -> None:
    parser = add_verb(
        verbs, "questions", run_questions, "ask about the frames of a simulated data set, with the answers"
    )
    parser.add_argument("folder", type=Path, help="folder of `dataset simulate`, without --place")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: questions.jsonl in the folder)"
    )
    parser.add_argument(
        "--words", default="warehouse", metavar="NAME|YAML", help="words, templates, held-out lists (default warehouse)"
    )
    parser.add_argument(
        "--per-frame", type=int, default=24, metavar="N", help="questions about each frame (default 24)"
    )
    parser.add_argument("--seed", type=int, default=0, help="number that the questions are drawn from (default 0)")
    parser.add_argument(
        "--held-out",
        choices=("nouns", "templates", "pairs"),
        help="ask only with nouns, templates or pairs of words that are kept from training (default: none)",
    )


def run_questions(args: argparse.Namespace) -> None:
    from gemini_ros.language.questions import FILE, write_questions
    from gemini_ros.simulation.scene_objects import complete_objects

    complete_objects(args.folder)
    options = {"per_frame": args.per_frame, "seed": args.seed, "held_out": args.held_out}
    draw = write_questions(args.folder, words=args.words, out=args.out, **options)
    print_lines(draw.lines())
    print(f"wrote     {args.out or args.folder / FILE}")
