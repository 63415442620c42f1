"""``gemini-ros compare``: whether one of two models, or of two sets of parameters, is worse beyond chance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gemini_ros.cli.arguments import Subparsers, add_model, add_verb, require_one_pool, text_given
from gemini_ros.cli.evaluate import add_evaluation, job_of
from gemini_ros.cli.output import print_lines

if TYPE_CHECKING:
    from gemini_ros.evaluation.job import Job

_HELP = "model, parameter file (*.yaml, with --model), or folder of `evaluate` or of `train test`"


def add(nouns: Subparsers) -> None:
    text = "compare two models, parameter files or results on the same frames: scores, labels, maps and latency"
    parser = add_verb(nouns, "compare", run, text)
    parser.add_argument("first", type=text_given, metavar="A", help=_HELP)
    parser.add_argument("second", type=text_given, metavar="B", help="the same; differences are B minus A")
    parser.add_argument(
        "--bags",
        nargs="+",
        default=[],
        type=Path,
        metavar="BAG",
        help="bags on which models and parameter files are evaluated",
    )
    add_model(parser, "--model", note="run with each of two parameter files", required=False)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for report.html, compare.json and times.json, and the results of both in DIR/a and DIR/b",
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="RULE",
        help="SCORE<POINTS or SCORE>POINTS, a change in points of 100 such as 'miou<-0.5'; exit status 1 if the "
        "interval confirms it or cannot rule it out; repeatable",
    )
    add_evaluation(parser)


def run(args: argparse.Namespace) -> int:
    from gemini_ros.evaluation.compare import compare_results
    from gemini_ros.evaluation.compare_runs import compare_runs, is_run
    from gemini_ros.evaluation.comparison_page import write_comparison
    from gemini_ros.evaluation.pipeline import require_writable
    from gemini_ros.evaluation.rules import parse_rule

    require_one_pool(args)
    if args.out is not None:
        require_writable(args.out)
    rules, stores = tuple(map(parse_rule, args.fail_if)), []
    if is_run(args.first) and is_run(args.second):
        _require_no_bags(args)
        comparison = compare_runs(args.first, args.second, rules)
    else:
        given = args.first, args.second
        if all(map(_is_result, given)):
            _require_no_bags(args)
        elif not args.bags or args.out is None:
            what = ", ".join(word for word in given if not _is_result(word))
            raise ValueError(f"compare: {what} is no folder of results, expected --bags to evaluate it on, and --out")
        # Of both before the first is run over bags, which may take hours.
        jobs = [_job_or_results(args, word) for word in given]
        sides = zip(jobs, given, "ab", strict=True)
        stores = [one if isinstance(one, Path) else _evaluate(args, one, word, side) for one, word, side in sides]
        comparison = compare_results(stores[0], stores[1], rules, given)
    if args.out is not None:
        comparison.write(args.out)
        report = write_comparison(args.out, comparison.data, comparison.times, stores)
    print_lines(comparison.lines())
    if args.out is not None:
        print(f"wrote     {args.out / 'compare.json'}")
        print(f"report    {report}")
    return comparison.status


def _is_result(word: str) -> bool:
    return Path(word).is_dir() or Path(word).suffix == ".sqlite"


def _require_no_bags(args: argparse.Namespace) -> None:
    if args.bags:
        raise ValueError(
            "compare: --bags is for models and parameter files, and both of these are results: leave it out"
        )


def _job_or_results(args: argparse.Namespace, word: str) -> Job | Path:
    """The results of one side, as given, or what has to be evaluated for it.

    Raises ``ValueError`` and ``OSError`` for what can be neither.
    """
    from gemini_ros.evaluation.compare import require_results
    from gemini_ros.inference.model_file import read_model_info

    if _is_result(word):
        return require_results(word)
    own = {"write": ("labels", "costmap"), "model": word}
    if Path(word).suffix in (".yaml", ".yml"):
        if args.model is None:
            raise ValueError(f"compare: {word} is a parameter file, expected --model to run with it")
        own |= {"model": args.model, "params": Path(word)}
    elif args.model is not None:
        raise ValueError(f"compare: {word} is a model, expected no --model beside it")
    job = job_of(argparse.Namespace(**(vars(args) | own)))
    read_model_info(job.model)
    return job


def _evaluate(args: argparse.Namespace, job: Job, word: str, side: str) -> Path:
    """The results of one side, evaluated into its folder."""
    from gemini_ros.evaluation.many import evaluate_many

    print(f"{side.upper()}  {word}")
    return evaluate_many(
        args.bags, job, args.out / side, workers=args.workers, fresh=args.fresh, ray=args.ray, say=print_lines
    )
