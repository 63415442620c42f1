"""``gemini-ros doctor``: check the machine, the cameras and the ROS graph."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_verb, seconds, text_given
from gemini_ros.cli.output import print_lines


def add(nouns: Subparsers) -> None:
    text = "check the machine, the cameras and the ROS graph, and say what to do next"
    parser = add_verb(nouns, "doctor", run, text)
    parser.add_argument(
        "--camera",
        type=text_given,
        metavar="NAME|YAML",
        help="camera file, as for the launch file (default: the one whose topics are published)",
    )
    parser.add_argument("--seconds", type=seconds, default=4.0, help="how long to listen to the cameras (default 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings to this file")


def run(args: argparse.Namespace) -> int:
    from gemini_ros.doctor.findings import lines, worst, write_json
    from gemini_ros.doctor.graph import graph_findings
    from gemini_ros.doctor.machine import inspect_machine, machine_findings, ros_distribution, ros_fault, ros_finding
    from gemini_ros.doctor.middleware import middleware_findings

    fault = ros_fault()
    findings = [*machine_findings(inspect_machine()), ros_finding(ros_distribution(os.environ), fault)]
    if not fault:
        from gemini_ros.nodes.observe.graph import observe

        graph = observe(args.camera, args.seconds)
        findings += [*middleware_findings(graph.rmw, os.environ), *graph_findings(graph)]
    print_lines(lines(findings))
    if args.json:
        write_json(args.json, findings)
    return 1 if worst(findings) == "error" else 0
