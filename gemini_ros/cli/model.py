"""``gemini-ros model``: export, import, convert, measure and describe model files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gemini_ros.cli.arguments import (
    Subparsers,
    add_cache_dir,
    add_layout,
    add_model,
    add_model_out,
    add_noun,
    add_size,
    add_verb,
)
from gemini_ros.cli.output import print_lines


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "model", "export, import, convert, measure and describe model files")
    _add_parity(verbs)
    _add_export(verbs)
    _add_convert(verbs)
    _add_import_official(verbs)
    _add_benchmark(verbs)
    add_model(add_verb(verbs, "info", run_info, "print the metadata of a model file"))


def _add_parity(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "parity", run_parity, "compare the network with recorded outputs of the official one")
    parser.add_argument("reference", type=Path, help="npz with weights/, input/ and output/ of the official network")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference (default 1e-4)")


def run_parity(args: argparse.Namespace) -> int:
    from gemini_ros.network.parity import check_parity

    check = check_parity(args.reference, args.tolerance)
    print_lines(check.lines())
    return 0 if check.passed else 1


def _add_export(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "export", run_export, "export a checkpoint as a model file")
    parser.add_argument("checkpoint", type=Path, help="Lightning checkpoint of `gemini-ros train fit`")
    add_size(parser, "network size (default: that of the frames in --frames)")
    add_model_out(parser)
    parser.add_argument(
        "--form",
        choices=("plain", "stacked"),
        default="plain",
        help="stacked runs fewer, larger kernels (default plain)",
    )
    parser.add_argument(
        "--scores", type=Path, metavar="JSON", help="output of `gemini-ros train test`, stored in the metadata"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="JSON",
        help="calibration.json of `gemini-ros train test`: its temperature becomes that of the confidence",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        required=True,
        metavar="DIR|BAG",
        help="data set or bag to check the export on",
    )
    parser.add_argument("--layout", metavar="NAME|YAML", help="layout of that data set (default: that of the training)")


def run_export(args: argparse.Namespace) -> None:
    from gemini_ros.training.export import export_checkpoint

    info = export_checkpoint(
        args.checkpoint,
        args.out,
        frames=args.frames,
        size=args.size,
        scores=args.scores,
        calibration=args.calibration,
        stacked=args.form == "stacked",
        layout=args.layout,
    )
    width, height = info.network_size
    chosen = "" if args.size else f", the size of the frames in {args.frames}: --size gives another one"
    print(f"wrote    {args.out}: network {width}x{height}{chosen}")


def _add_convert(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "convert", run_convert, "convert a model file to fp16 or INT8")
    add_model(parser, note="in fp32, with its golden file beside it")
    parser.add_argument(
        "--precision", choices=("fp16", "int8"), required=True, help="of the new file; int8 keeps some nodes in fp16"
    )
    add_model_out(parser)
    parser.add_argument(
        "--frames",
        type=Path,
        required=True,
        metavar="DIR|BAG",
        help="data set or bag whose frames both files are compared on",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|BAG",
        help="data set or bag to measure value ranges on (default: that of --frames)",
    )
    add_layout(parser, "layout of the data sets")
    parser.add_argument("--split", metavar="NAME", help="compare on this split only, such as val (default: all)")
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="keep the nodes with these outputs in fp32 (in fp16 for an INT8 file)",
    )


def run_convert(args: argparse.Namespace) -> None:
    from gemini_ros.core.resources import find_model
    from gemini_ros.datasets.examples import Source
    from gemini_ros.precision.convert import CALIBRATION_FRAMES, convert_model

    conversion = convert_model(
        find_model(args.model),
        args.out,
        args.precision,
        calibration=Source(args.calibration or args.frames, CALIBRATION_FRAMES, args.layout),
        check=Source(args.frames, None, args.layout, args.split),
        keep=args.keep,
    )
    print_lines(conversion.lines())


def _add_import_official(verbs: Subparsers) -> None:
    text = "import an official GeminiFusion checkpoint as a model file"
    parser = add_verb(verbs, "import-official", run_import_official, text)
    parser.add_argument("checkpoint", type=Path, help="official RGB-D checkpoint, such as mit-b3.pth.tar")
    parser.add_argument(
        "--labels", required=True, metavar="SET", help="label set of the checkpoint, such as nyudv2_40 or sunrgbd_37"
    )
    add_size(parser, "network size: that of the training", required=True)
    parser.add_argument(
        "--depth-pixel",
        required=True,
        metavar="scale=S[,offset=O][,max=M]",
        help="depth images of the training: pixel = S x metres + O, at most M. scale=25.5 is an 8-bit copy of 10 m, "
        "scale=1000 a copy in millimetres. Copies that were stretched image by image cannot be described",
    )
    add_model_out(parser)
    parser.add_argument(
        "--frames",
        type=Path,
        metavar="DIR|BAG",
        help="data set or bag to check the file on (default: synthetic)",
    )
    add_layout(parser, "layout of --frames")


def run_import_official(args: argparse.Namespace) -> None:
    from gemini_ros.training.import_official import import_official, parse_depth_pixel

    imported = import_official(
        args.checkpoint,
        args.out,
        labels=args.labels,
        size=args.size,
        depth_pixel=parse_depth_pixel(args.depth_pixel),
        frames=args.frames,
        layout=args.layout,
    )
    print_lines(imported.lines())


def _add_benchmark(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "benchmark", run_benchmark, "measure a model's latency on this machine, by stage")
    add_model(parser, note="with its golden file beside it")
    parser.add_argument(
        "--backend", default="auto", help="as the node's parameter backend, or all, side by side (default auto)"
    )
    add_size(parser, "camera size (default: that of the golden file's frames)")
    parser.add_argument("--frames", type=int, default=200, metavar="N", help="frames to time (default 200)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as the node's parameter)")
    add_cache_dir(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report to this file")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="compare with this earlier report")


def run_benchmark(args: argparse.Namespace) -> None:
    from gemini_ros.core.files import atomic_path
    from gemini_ros.core.resources import find_model
    from gemini_ros.inference.benchmark import (
        benchmark_all,
        benchmark_model,
        compare,
        lines,
        read_report,
        side_by_side,
    )

    if args.frames < 1:
        raise ValueError(f"--frames {args.frames}, expected at least 1")
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"--threads {args.threads}, expected at least 1")
    if args.backend == "all" and args.compare:
        raise ValueError("--compare with --backend all: a report is of one backend; name that one")
    earlier = read_report(args.compare) if args.compare else None
    options = {
        "camera_size": args.size,
        "frames": args.frames,
        "threads": args.threads,
        "cache_dir": args.cache_dir,
    }
    model = find_model(args.model)
    if args.backend == "all":
        report = benchmark_all(model, **options)
        print_lines(side_by_side(report))
    else:
        report = benchmark_model(model, backend=args.backend, **options)
        print_lines(lines(report))
    if earlier is not None:
        print_lines(compare(report, earlier))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def run_info(args: argparse.Namespace) -> None:
    from gemini_ros.core.documents import parse_json
    from gemini_ros.core.resources import find_model
    from gemini_ros.inference.model_file import read_metadata, read_model_info

    path = find_model(args.model)
    read_model_info(path)
    print(json.dumps(parse_json(read_metadata(path), str(path)), indent=2))
