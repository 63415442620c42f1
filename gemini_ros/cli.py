"""``gemini-ros <noun> <verb>``: one grammar for every tool. Exit status 0, 1 a check failed, 2 bad input.

Rooms are imported inside the command that needs them, so that a robot without torch and a training server without ROS
both have the command; a missing one is answered with the extra to install.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gemini_ros import __version__

# Top-level module -> extra of setup.py that brings it.
EXTRAS = {
    "cv2": "runtime",
    "onnxruntime": "runtime",
    "rosbags": "bags",
    "rclpy": "ros",
    "mujoco": "sim",
    "torch": "train",
    "lightning": "train",
    "onnx": "precision",
    "matplotlib": "report",
    "rich": "report",
    "imageio_ffmpeg": "report",
}


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (width, height)."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or "0" in match.groups():
        raise argparse.ArgumentTypeError(f"{text!r}, expected WIDTHxHEIGHT such as 640x480")
    return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if rest and not getattr(args, "passes_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for exporter in ("onnxscript", "onnx_ir"):  # they tell of every node they fold, thousands of lines
        logging.getLogger(exporter).setLevel(logging.WARNING)
    try:
        return args.run(args) or 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(f"gemini-ros: this command needs {package}: pip install 'gemini_ros[{EXTRAS[package]}]'", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"gemini-ros: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gemini-ros", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--version", action="version", version=__version__)
    nouns = parser.add_subparsers(metavar="NOUN", required=True)

    bag = _noun(nouns, "bag", "recordings: play, record, make from images, check")
    add_bag_play(_verb(bag, "play", run_bag_play, "play a bag into ROS at the pace it was recorded"))
    add_bag_record(_verb(bag, "record", run_bag_record, "record topics into an MCAP bag until interrupted"))
    add_bag_from_images(_verb(bag, "from-images", run_bag_from_images, "make a bag from folders of images"))
    add_bag_check(_verb(bag, "check", run_bag_check, "say what is in a bag and whether all of it can be used"))

    dataset = _noun(nouns, "dataset", "training data")
    simulate = _verb(dataset, "simulate", run_dataset_simulate, "render warehouses: frames to train on, or a drive")
    add_dataset_simulate(simulate)
    add_dataset_check(
        _verb(dataset, "check", run_dataset_check, "say what is in a data set and which files are broken")
    )
    add_dataset_from_bag(
        _verb(dataset, "from-bag", run_dataset_from_bag, "write the pairs of a bag as images, to be annotated")
    )

    model = _noun(nouns, "model", "model files: parity with the official network, export, import, lower precision")
    add_model_parity(_verb(model, "parity", run_model_parity, "compare the network with a recorded reference"))
    add_model_export(_verb(model, "export", run_model_export, "turn a checkpoint into a model file"))
    add_model_convert(_verb(model, "convert", run_model_convert, "make a model file of lower precision, fp16 or INT8"))
    add_model_import_official(
        _verb(model, "import-official", run_model_import_official, "turn an official GeminiFusion checkpoint into one")
    )
    add_model_benchmark(_verb(model, "benchmark", run_model_benchmark, "time a model file on this machine, by stage"))
    add_model_info(_verb(model, "info", run_model_info, "print what a model file says of itself"))

    engine = _noun(nouns, "engine", "TensorRT engines of model files: build, describe, list, remove")
    add_engine_build(_verb(engine, "build", run_engine_build, "build the engine of a model for one size of image"))
    add_engine_info(_verb(engine, "info", run_engine_info, "print what is known of an engine"))
    add_cache_dir(_verb(engine, "list", run_engine_list, "list the engines in the cache"))
    add_engine_prune(_verb(engine, "prune", run_engine_prune, "remove engines that are of no use on this machine"))

    add_evaluate(_verb(nouns, "evaluate", run_evaluate, "run a model over a bag offline: scores, yield, latencies"))

    train = _noun(nouns, "train", "train and score networks; every option of the configuration can be overridden")
    for verb, text in (("fit", "train a network"), ("test", "score a checkpoint, also with a modality missing")):
        parser_of_verb = train.add_parser(verb, help=text, description=text, add_help=False)
        parser_of_verb.set_defaults(run=run_train, passes_on=True, verb=verb)
    add_doctor(_verb(nouns, "doctor", run_doctor, "what is wrong here, and what to do next: machine, cameras, graph"))
    demo = nouns.add_parser("demo", help=DEMO, description=DEMO)
    demo.set_defaults(run=run_demo)
    add_demo(demo)
    return parser


def _noun(nouns: argparse._SubParsersAction, name: str, text: str) -> argparse._SubParsersAction:
    return nouns.add_parser(name, help=text, description=text).add_subparsers(metavar="VERB", required=True)


def _verb(
    verbs: argparse._SubParsersAction, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def drop_window(text: str) -> tuple[str, float, float]:
    """NAME:START-END, the seconds of a bag in which a stream or topic is left out."""
    match = re.fullmatch(r"(.+):(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}, expected STREAM:START-END in seconds, such as depth:3-5")
    return match[1], float(match[2]), float(match[3])


def add_bag_play(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="MCAP file, or directory of a ROS 2 bag")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play only these")
    parser.add_argument("--rate", type=float, default=1.0, help="times as fast as recorded (default 1)")
    parser.add_argument("--loop", type=int, default=1, metavar="N", help="play N times; time jumps back (default 1)")
    parser.add_argument(
        "--drop",
        type=drop_window,
        action="append",
        default=[],
        metavar="STREAM:A-B",
        help="leave out a stream (rgb, depth, thermal, labels) or topic from second A to B of the bag; repeatable",
    )
    parser.add_argument(
        "--clock",
        type=float,
        nargs="?",
        const=50.0,
        metavar="HZ",
        help="publish /clock before each message, and at this rate in gaps (50)",
    )
    parser.add_argument("--wait-for", nargs="+", default=[], metavar="TOPIC", help="topics that must have a subscriber")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="longest wait for subscribers (default 10)"
    )


def run_bag_play(args: argparse.Namespace) -> int:
    from gemini_ros.nodes.player import Drop, PlayOptions, play_bag

    options = PlayOptions(
        rate=args.rate,
        loops=args.loop,
        drops=tuple(Drop(*window) for window in args.drop),
        clock_hz=args.clock,
        topics=tuple(args.topics),
        wait_for=tuple(args.wait_for),
        wait_s=args.wait,
    )
    report = play_bag(args.bag, options)
    for topic, count in report.published.items():
        left_out = report.dropped.get(topic, 0)
        print(f"{topic:50s} {count:6d} messages" + (f", {left_out} left out" if left_out else ""))
    if report.lateness.count:
        p50, p99 = (report.lateness.quantile(q) * 1e-6 for q in (0.5, 0.99))
        print(f"lateness p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    for topic in report.unacknowledged:
        print(f"not everything on {topic} was acknowledged", file=sys.stderr)
    return 1 if report.unacknowledged else 0


DEMO = "a bag through the live node: player, segmenter and recorder as separate processes, and what came of it"


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bag", type=Path, help="bag to play (default: the bundled drive through a warehouse)")
    parser.add_argument("--model", type=Path, help="ONNX file (default: the shipped model for the modality)")
    parser.add_argument(
        "--modality", choices=("depth", "thermal", "none"), help="what goes beside RGB (default: what the bag has)"
    )
    parser.add_argument("--faults", action="store_true", help="leave a stream out for a while, and play the bag twice")
    parser.add_argument("--rate", type=float, default=1.0, help="times as fast as recorded (default 1)")
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder for the results (demo_output)")
    parser.add_argument("--no-video", action="store_true", help="do not render demo.mp4")


def run_demo(args: argparse.Namespace) -> int:
    from gemini_ros.demo.plan import DemoOptions
    from gemini_ros.demo.run import run_demo

    return run_demo(
        DemoOptions(args.bag, args.model, args.modality, args.faults, args.out, args.rate, not args.no_video)
    )


def add_bag_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topics", nargs="+", required=True, metavar="TOPIC")
    parser.add_argument("--out", type=Path, required=True, help="MCAP file to write, complete when the command ends")


def run_bag_record(args: argparse.Namespace) -> None:
    from gemini_ros.nodes.recorder import record_bag

    report = record_bag(args.out, args.topics)
    for topic, count in report.written.items():
        print(f"{topic:50s} {count:6d} messages")
    for topic in report.unseen:
        print(f"{topic}: no publisher of a known type appeared", file=sys.stderr)
    print(f"wrote {args.out}")


def camera(text: str) -> tuple[float, float, float, float]:
    """fx,fy,cx,cy in pixels."""
    try:
        fx, fy, cx, cy = (float(value) for value in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected fx,fy,cx,cy such as 525,525,319.5,239.5") from None
    return fx, fy, cx, cy


def add_bag_from_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rgb", type=Path, required=True, metavar="DIR", help="colour images; stems pair the folders")
    parser.add_argument("--depth", type=Path, metavar="DIR", help="16-bit depth images")
    parser.add_argument("--depth-units-per-metre", type=float, default=1000.0, metavar="N", help="default 1000")
    parser.add_argument("--thermal", type=Path, metavar="DIR", help="thermal images")
    parser.add_argument("--thermal-scale", type=float, metavar="A", help="degrees Celsius = A value + B; without both")
    parser.add_argument("--thermal-offset", type=float, metavar="B", help="a value is centi-Kelvin in 16 bits")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="class ids as 8-bit images")
    parser.add_argument("--fps", type=float, required=True, metavar="N", help="frames per second")
    parser.add_argument("--intrinsics", type=camera, required=True, metavar="FX,FY,CX,CY", help="camera, in pixels")
    parser.add_argument("--allow-unpaired", action="store_true", help="accept stems that a folder lacks")
    parser.add_argument("--out", type=Path, required=True, metavar="X.mcap", help="bag to write")


def run_bag_from_images(args: argparse.Namespace) -> None:
    from gemini_ros.bags.from_images import Units, bag_from_images

    folders = {stream: getattr(args, stream) for stream in ("rgb", "depth", "thermal", "labels")}
    bag = bag_from_images(
        args.out,
        {stream: folder for stream, folder in folders.items() if folder is not None},
        fps=args.fps,
        intrinsics=args.intrinsics,
        units=Units(args.depth_units_per_metre, args.thermal_scale, args.thermal_offset),
        allow_unpaired=args.allow_unpaired,
    )
    images = ", ".join(f"{count} {stream}" for stream, count in bag.images.items())
    print(f"{args.out}: {bag.frames} frames of {bag.size[0]}x{bag.size[1]}: {images}")


def add_bag_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="MCAP file, or directory of a ROS 2 bag")


def run_bag_check(args: argparse.Namespace) -> int:
    from gemini_ros.bags.check import check_bag

    check = check_bag(args.bag)
    print("\n".join(check.lines()))
    return 0 if check.passed else 1


def add_dataset_simulate(parser: argparse.ArgumentParser) -> None:
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="write or complete a data set of independent frames")
    target.add_argument("--bag", type=Path, metavar="FILE", help="write a drive as an MCAP bag")
    parser.add_argument("--seed", type=int, default=0, help="number the warehouses are made from (default 0)")
    parser.add_argument("--size", type=size, default=(320, 240), help="WIDTHxHEIGHT (default 320x240)")
    parser.add_argument(
        "--light",
        choices=("day", "dim", "dark", "black", "fading"),
        help="light level (default: drawn per scene; for a bag day). fading, of bags only, goes from day to black",
    )
    images = parser.add_argument_group("data set")
    images.add_argument("--scenes", type=int, default=100, help="warehouses (default 100)")
    images.add_argument("--frames-per-scene", type=int, default=12, help="frames in each (default 12)")
    images.add_argument(
        "--place",
        choices=("home", "office", "warehouse", "mixed"),
        help="label with nav5 and see through cameras of all kinds: homes, offices, warehouses, or a mixture "
        "(default: warehouses through the robot's camera, with labels of their own)",
    )
    images.add_argument("--processes", type=int, default=1, help="warehouses rendered at a time (default 1)")
    drive = parser.add_argument_group("bag")
    drive.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds of the drive (default 10)")
    drive.add_argument("--person-at", type=float, metavar="S", help="second at which a person steps into the way")


def run_dataset_simulate(args: argparse.Namespace) -> None:
    if args.bag:
        from gemini_ros.simulate import write_drive_bag

        write_drive_bag(
            args.bag,
            seed=args.seed,
            duration_s=args.duration,
            size=args.size,
            light=args.light or "day",
            person_at_s=args.person_at,
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
        processes=args.processes,
    )


def add_dataset_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the data set's folder")
    parser.add_argument(
        "--layout", default="simulated", metavar="NAME|YAML", help="description of its tree (default simulated)"
    )
    parser.add_argument("--split", metavar="NAME", help="check this part only, such as train (default: all)")
    parser.add_argument("--label-set", metavar="NAME|YAML", help="its classes, where the layout does not name them")


def run_dataset_check(args: argparse.Namespace) -> int:
    from gemini_ros.datasets.check import check_dataset
    from gemini_ros.datasets.layout import load_layout

    check = check_dataset(args.folder, load_layout(args.layout), label_set=args.label_set, split=args.split)
    print("\n".join(check.lines()))
    return 2 if check.broken else 0


def add_dataset_from_bag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="MCAP file, or directory of a ROS 2 bag")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write: a new or an empty one")
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="take frames at least this far apart (default all)"
    )
    parser.add_argument(
        "--slop", type=float, default=0.02, metavar="SECONDS", help="a pair's largest gap (default 0.02)"
    )


def run_dataset_from_bag(args: argparse.Namespace) -> None:
    from gemini_ros.evaluation.frame_folder import write_frame_folder

    written = write_frame_folder(args.bag, args.out, every_s=args.every, slop_s=args.slop)
    print(f"{args.out}: {written.frames} frames of {', '.join(written.modalities)}, {written.labelled} with labels")
    if written.incomplete:
        print(f"{written.incomplete} frames without all of these were left out")
    for fault in written.faults:
        print(f"note: {fault}")
    print(f"annotate: write class ids as PNG to {args.out / 'labels'}, of the names in {args.out / 'rgb'}; then")
    print(f"  gemini-ros dataset check {args.out} --layout recorded --label-set NAME")


def add_model_parity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", type=Path, help="npz with weights/, input/ and output/ of the official network")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference (default 1e-4)")


def run_model_parity(args: argparse.Namespace) -> int:
    from gemini_ros.network.parity import check_parity

    differences = check_parity(args.reference)
    for name, difference in differences.items():
        print(f"{name:20s} {difference:.2e}")
    worst = max(differences.values())
    passed = worst <= args.tolerance
    print(f"{'passed' if passed else 'FAILED'}: worst {worst:.2e}, tolerance {args.tolerance:.0e}")
    return 0 if passed else 1


def add_model_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="Lightning checkpoint of `gemini-ros train fit`")
    parser.add_argument("--size", type=size, help="network size, WIDTHxHEIGHT (default: the one trained at)")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write; X.golden.npz goes beside it")

    parser.add_argument("--form", choices=("plain", "stacked"), default="plain", help="stacked: fewer, larger kernels")
    parser.add_argument("--scores", type=Path, help="JSON of `gemini-ros train test`, stored in the metadata")
    parser.add_argument("--frames", type=Path, required=True, help="data set whose frames the export is checked on")


def run_model_export(args: argparse.Namespace) -> None:
    from gemini_ros.training.export import export_checkpoint

    export_checkpoint(
        args.checkpoint,
        args.out,
        frames=args.frames,
        size=args.size,
        scores=args.scores,
        stacked=args.form == "stacked",
    )


def add_model_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model file of fp32; its golden file lies beside it")
    parser.add_argument("--precision", choices=("fp16", "int8"), required=True, help="int8: with fp16 where it is not")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write; X.golden.npz goes beside it")
    parser.add_argument(
        "--frames", type=Path, required=True, metavar="DIR|BAG", help="frames to judge by: a data set or a bag"
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="DIR|BAG", help="frames to measure ranges on (default those of --frames)"
    )
    parser.add_argument("--layout", default="simulated", metavar="NAME|YAML", help="of data sets (default simulated)")
    parser.add_argument("--split", metavar="NAME", help="judge by this part of a data set, such as val (default all)")
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="nodes, by output, to leave in fp32 (fp16 in an INT8 file)",
    )


def run_model_convert(args: argparse.Namespace) -> None:
    from gemini_ros.datasets.examples import Source
    from gemini_ros.precision.convert import CALIBRATION_FRAMES, convert_model

    found = convert_model(
        args.model,
        args.out,
        args.precision,
        calibration=Source(args.calibration or args.frames, CALIBRATION_FRAMES, args.layout),
        check=Source(args.frames, None, args.layout, args.split),
        keep=args.keep,
    )
    print("\n".join(map(str, found)))
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB")


def add_model_import_official(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="official RGB-D checkpoint, such as mit-b3.pth.tar")
    parser.add_argument("--labels", required=True, metavar="SET", help="its label set, such as nyudv2_40 or sunrgbd_37")
    parser.add_argument("--size", type=size, required=True, help="network size, WIDTHxHEIGHT: the one trained at")
    parser.add_argument(
        "--depth-pixel",
        required=True,
        metavar="scale=S[,offset=O][,max=M]",
        help="the depth images it was trained on: pixel = S x metres + O, at most M. scale=25.5 is an 8-bit copy of "
        "10 m, scale=1000 one in millimetres. A copy stretched image by image can't be stated",
    )
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write; X.golden.npz goes beside it")
    parser.add_argument("--frames", type=Path, help="data set whose frames the file is checked on (default: made up)")
    parser.add_argument("--layout", default="simulated", help="layout of --frames: name or YAML file")


def run_model_import_official(args: argparse.Namespace) -> None:
    from gemini_ros.training.import_official import import_official, parse_depth_pixel

    info = import_official(
        args.checkpoint,
        args.out,
        labels=args.labels,
        size=args.size,
        depth_pixel=parse_depth_pixel(args.depth_pixel),
        frames=args.frames,
        layout=args.layout,
    )
    near, far = info.modalities[1].range
    print(f"{args.out}: {info.architecture['encoder']}, {len(info.label_set)} classes, depth {near:g}-{far:g} m")
    print(f"licence: {info.licence}; commercial use: {info.commercial_use}")


def add_model_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model file (ONNX), with its golden file beside it")
    parser.add_argument("--backend", default="auto", help="as the node's parameter (default auto)")
    parser.add_argument("--size", type=size, help="of the camera, WIDTHxHEIGHT (default: of the golden file's frames)")
    parser.add_argument("--frames", type=int, default=200, metavar="N", help="frames that are timed (default 200)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU (default: ONNX Runtime's choice)")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where engines are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an earlier report to compare with")


def run_model_benchmark(args: argparse.Namespace) -> None:
    from gemini_ros.core.files import atomic_path
    from gemini_ros.inference.benchmark import benchmark_model, compare, read_report, summary

    if args.frames < 1:
        raise ValueError(f"--frames {args.frames}, expected at least 1")
    earlier = read_report(args.compare) if args.compare else None
    report = benchmark_model(
        args.model,
        backend=args.backend,
        camera_size=args.size,
        frames=args.frames,
        threads=args.threads,
        cache_dir=args.cache_dir,
    )
    print("\n".join(summary(report)))
    if earlier is not None:
        print("\n".join(compare(report, earlier)))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def add_model_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path)


def run_model_info(args: argparse.Namespace) -> None:
    from gemini_ros.inference import read_model_info

    print(read_model_info(args.model).to_json(indent=2))


def add_cache_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="where engines are kept (default: the user's cache directory)"
    )


def add_engine_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model file (ONNX)")
    parser.add_argument("--size", type=size, required=True, help="WIDTHxHEIGHT of the camera's images")
    add_cache_dir(parser)
    parser.add_argument("--library", default="tensorrt", choices=("tensorrt", "tensorrt_rtx"), help="default tensorrt")
    parser.add_argument(
        "--compute-capability",
        metavar="X.Y",
        help="compile ahead of time for GPUs of this kind, such as 8.6 (tensorrt_rtx; default: this machine's GPU)",
    )
    parser.add_argument("--workspace-mb", type=int, default=2048, metavar="N", help="at most so much memory (2048)")
    parser.add_argument("--optimization-level", type=int, default=3, choices=range(6), help="0 quick to 5 (default 3)")


def run_engine_build(args: argparse.Namespace) -> int:
    from gemini_ros.inference.cache import EngineCache
    from gemini_ros.inference.engine_tool import build
    from gemini_ros.inference.engines import EngineRejectedError
    from gemini_ros.inference.tensorrt.build import BuildOptions

    said = None

    def tell(share: float, phase: str) -> None:
        nonlocal said
        if (now := (round(20 * share), phase.partition(":")[0])) != said:
            print(f"{share:4.0%} {phase}", file=sys.stderr)
            said = now

    cache = EngineCache(args.cache_dir)
    try:
        entry = build(
            args.model,
            args.size,
            cache,
            BuildOptions(args.workspace_mb, args.optimization_level),
            tell,
            library=args.library,
            compute_capability=args.compute_capability,
        )
    except EngineRejectedError as error:
        print(f"gemini-ros: {error}", file=sys.stderr)
        return 1
    record = entry.record
    print(
        f"{entry.path}: {record.engine_bytes / 1e6:.1f} MB for {record.key.machine_text}, built in {record.build_s} s"
    )
    agreement = (
        "" if record.parity.agreement is None else f", {record.parity.agreement:.4f} of the confident labels agree"
    )
    print(f"parity {record.parity.state}{agreement}")
    if cache.note:
        print(f"note: {cache.note}")
    return 0


def add_engine_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, help="X.engine, or the X.json beside it")


def run_engine_info(args: argparse.Namespace) -> None:
    from gemini_ros.inference.engine_tool import describe

    print(describe(args.engine))


def run_engine_list(args: argparse.Namespace) -> None:
    from gemini_ros.inference.cache import EngineCache
    from gemini_ros.inference.engine_tool import listing

    print("\n".join(listing(EngineCache(args.cache_dir).entries())))


def add_engine_prune(parser: argparse.ArgumentParser) -> None:
    add_cache_dir(parser)
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="remove what was built longer ago as well")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")


def run_engine_prune(args: argparse.Namespace) -> None:
    from gemini_ros.inference.cache import EngineCache
    from gemini_ros.inference.engine_tool import prune

    for path, why in prune(EngineCache(args.cache_dir), older_than_days=args.older_than, dry_run=args.dry_run):
        print(f"{'would remove' if args.dry_run else 'removed'} {path}: {why}")


def names(text: str) -> tuple[str, ...]:
    """Comma-separated words."""
    return tuple(word.strip() for word in text.split(","))


def mounting(text: str) -> tuple[float, ...]:
    """x,y,z,roll,pitch,yaw as six numbers."""
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 6:
        raise argparse.ArgumentTypeError(f"{text!r}, expected x,y,z,roll,pitch,yaw in metres and radians")
    return values


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="MCAP file, or directory of a ROS 2 bag")
    parser.add_argument("--model", type=Path, required=True, help="model file (ONNX)")
    parser.add_argument("--out", type=Path, required=True, help="folder for summary.json and contact_sheet.png")
    parser.add_argument(
        "--modalities", type=names, metavar="A,B", help="streams to read (default: the model's, and depth)"
    )
    parser.add_argument(
        "--slop", type=float, default=0.02, metavar="SECONDS", help="a pair's largest gap (default 0.02)"
    )
    parser.add_argument("--missing.policy", dest="policy", default="degrade", choices=("degrade", "hold", "stop"))
    parser.add_argument("--missing.timeout_s", dest="timeout", type=float, default=0.5, metavar="SECONDS")
    parser.add_argument(
        "--camera-in-base", type=mounting, metavar="X,Y,Z,R,P,Y", help="the camera's mounting (default: /tf_static)"
    )
    parser.add_argument("--thermal-scale", type=float, default=0.01, help="degrees Celsius per count (default 0.01)")
    parser.add_argument("--thermal-offset", type=float, default=-273.15, help="degrees Celsius at 0 (default -273.15)")


def run_evaluate(args: argparse.Namespace) -> int:
    from gemini_ros.evaluation.pipeline import EvaluationSettings, evaluate_bag
    from gemini_ros.evaluation.replay import ReplaySettings

    replay = ReplaySettings(
        modalities=args.modalities,
        slop_s=args.slop,
        missing_policy=args.policy,
        missing_timeout_s=args.timeout,
        thermal_scale=args.thermal_scale,
        thermal_offset=args.thermal_offset,
    )
    settings = EvaluationSettings(replay=replay, camera_in_base=args.camera_in_base)
    summary = evaluate_bag(args.bag, args.model, args.out, settings)
    for stream, counts in summary.frames.items():
        dropped = ", ".join(f"{n} {cause}" for cause, n in counts.dropped.items()) or "none"
        used = f"{counts.received} received, {counts.in_pairs} in pairs, {counts.singles} single"
        print(f"{stream:8s} {used}, dropped: {dropped}")
    print(f"pairs    {summary.pairs}, singles {summary.singles}, inferences {summary.inferences}")
    if summary.miou is not None:
        print(f"mIoU     {summary.miou:.4f} over {summary.scored_frames} frames")
    for note in summary.notes:
        print(f"note     {note}")
    print(f"wrote    {args.out / 'summary.json'}" + (", contact_sheet.png" if summary.inferences else ""))
    for sentence in (broken := summary.check()):
        print(f"gemini-ros: broken identity: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def run_train(args: argparse.Namespace) -> None:
    from gemini_ros.training.fit import train

    train([args.verb, *args.rest])


def seconds(text: str) -> float:
    """A time of at least one second, in which a rate can be told."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 3600")
    return value


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--camera", metavar="NAME|YAML", help="its topics, as for the launch file (default: the one that is publishing)"
    )
    parser.add_argument("--seconds", type=seconds, default=4.0, help="how long to listen to the cameras (default 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too, to be sent along")


def run_doctor(args: argparse.Namespace) -> int:
    import os

    from gemini_ros.doctor.findings import lines, worst, write_json
    from gemini_ros.doctor.graph import graph_findings
    from gemini_ros.doctor.machine import inspect_machine, machine_findings, ros_distribution, ros_fault, ros_finding
    from gemini_ros.doctor.middleware import middleware_findings

    fault = ros_fault()
    findings = [*machine_findings(inspect_machine()), ros_finding(ros_distribution(os.environ), fault)]
    if not fault:
        from gemini_ros.nodes.graph import observe

        graph = observe(args.camera, args.seconds)
        findings += [*middleware_findings(graph.rmw, os.environ), *graph_findings(graph)]
    print("\n".join(lines(findings)))
    if args.json:
        write_json(args.json, findings)
    return 1 if worst(findings) == "error" else 0


if __name__ == "__main__":
    sys.exit(main())
