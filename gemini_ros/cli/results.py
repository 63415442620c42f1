"""``gemini-ros results``: join the results of parts of an evaluation."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_criteria, add_noun, add_verb
from gemini_ros.cli.output import print_error, print_lines


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "results", "join the results of evaluations")
    parser = add_verb(verbs, "merge", run_merge, "join the stores of several shards, and print the page of all bags")
    parser.add_argument("results", nargs="+", type=Path, metavar="DIR", help="folders of `evaluate`, or store files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the joint results")
    add_criteria(parser)


def run_merge(args: argparse.Namespace) -> int:
    from gemini_ros.evaluation.many import merge

    criteria = criteria_of(args)
    return conclude(args, merge(args.results, args.out), criteria, {}, "results merge")


def criteria_of(args: argparse.Namespace) -> tuple:
    """What ``--criteria`` says."""
    from gemini_ros.evaluation.criteria import read_criteria

    return read_criteria(args.criteria) if args.criteria else ()


def conclude(
    args: argparse.Namespace,
    store_path: Path,
    criteria: tuple,
    bags: Mapping[str, Path],
    command: str,
    *,
    page: bool = True,
) -> int:
    """Read the results off a store, write them, print the page and what failed; the exit status.

    ``bags`` says where each bag lies, by its name; ``command`` stands in ``report.html``.
    """
    from gemini_ros.core.spread import telling_what_is_kept
    from gemini_ros.evaluation.criteria import write_junit
    from gemini_ros.evaluation.page import write_report
    from gemini_ros.evaluation.results import read_results
    from gemini_ros.evaluation.store import Store
    from gemini_ros.evaluation.worst import WORST_FILE, worst_frames, write_worst

    kept = f"all bags are evaluated and kept in {store_path.parent}"
    with telling_what_is_kept(lambda: kept), Store(store_path) as store:
        results = read_results(store, criteria)
        results.write(args.out)
        write_worst(args.out / WORST_FILE, worst_frames(store))
        report = write_report(args.out, store, results, bags, command)
    if args.junit:
        write_junit(args.junit, results.failures, results.verdicts)
    parts = [*results.completion_lines(), *results.robustness_lines(), *results.criteria_lines()]
    print_lines(results.lines() if page else parts)
    for sentence in results.sentences():
        print_error(sentence)
    print(f"report   {report}")
    return results.status
