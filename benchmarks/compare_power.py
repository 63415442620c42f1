"""How often `gemini-ros compare` finds a model that is worse, and how often it raises an alarm over one that is not.

    python -m benchmarks.compare_power --pool pool --json result.json

``--pool`` is made where it is not there: simulated drives, and their results with a model, with the same model exported
again (every weight off by up to a thousandth, a unit of fp16) and with a worse one (noise on the weights). A bag's
counts are those of all its frames. The counts of the worse model are moved towards those of the first until the
difference over the whole pool is 0.7 points: which bags lose how much stays as it was measured. A draw is 20 bags of
the pool with replacement. It stands for 20 new bags of a world in which the pool is all there is: its true difference
is known.

Three tests are held against each other: flipped signs, the bootstrap-t and the percentile bootstrap, all over bags.
Beside the worse and the equal model, ``shuffled`` swaps worse and first at random in each bag: the same noise without
any difference, for which 5 % of false alarms are due.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gemini_ros.cli.arguments import size
from gemini_ros.core.files import atomic_path
from gemini_ros.core.intervals import bootstrap_t
from gemini_ros.core.paired import paired_differences
from gemini_ros.core.resources import find_model
from gemini_ros.evaluation.differences import scored
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.many import evaluate_many
from gemini_ros.evaluation.results import label_set_of
from gemini_ros.evaluation.scores import ScoreReader, Selection, TallyForm, Values
from gemini_ros.evaluation.store import Store
from gemini_ros.evaluation.truth import read_truth_map

LIGHTS = ("day", "dim", "dark", "fading")
POINTS = -0.007
_EVERY = Selection()
Interval = Callable[[Values, Values, TallyForm], "tuple[float, float] | None"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bags", nargs="*", type=Path, help="bags of the pool (default: simulated drives)")
    parser.add_argument("--map", type=Path, help="map of their truth, as for `gemini-ros evaluate`")
    parser.add_argument(
        "--pool", type=Path, required=True, help="folder of bags and results, made where it is not there"
    )
    parser.add_argument("--model", default="warehouse_rgbd_nano")
    parser.add_argument("--drives", type=int, default=40, help="simulated for the pool (default 40)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each bag (default 1.5)")
    parser.add_argument("--size", type=size, default=(160, 120), metavar="WIDTHxHEIGHT", help="of it (default 160x120)")
    parser.add_argument(
        "--noise", type=float, default=0.03, help="on the weights of the worse model, of their deviation"
    )
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--further-draws", type=int, default=200, help="for the rates by which the test was chosen")
    parser.add_argument("--drawn", type=int, default=20, help="bags of a draw")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    stores = make_pool(args)
    form, first, equal, worse = tallies_of(stores)
    measured = difference(first, worse, form)
    worse = moved(first, worse, form, POINTS)
    found = {
        "bags": len(first),
        "model": args.model,
        "measured_points": 100 * measured,
        "worse_points": 100 * difference(first, worse, form),
        "equal_points": 100 * difference(first, equal, form),
        "miou": float(form.of(first.sum(0))["miou"]),
        "draws": rates(form, first, equal, worse, args.draws, args.drawn, 1),
        "further_draws": rates(form, first, equal, worse, args.further_draws, args.drawn, 2),
    }
    print(json.dumps(found, indent=1))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(found, indent=1) + "\n")


def make_pool(args: argparse.Namespace) -> dict[str, Path]:
    """The stores of the pool's bags with the three models."""
    from gemini_ros.simulation.drive_bag import write_drive_bag

    bags = list(args.bags)
    for i in range(0 if bags else args.drives):
        bags.append(args.pool / f"bags/drive{i:03d}.mcap")
        if not bags[-1].exists():
            light = LIGHTS[i % len(LIGHTS)]
            write_drive_bag(bags[-1], seed=40_000 + i, duration_s=args.seconds, size=args.size, light=light)
    model = find_model(args.model)
    models = {"first": model}
    for name, noise in (("equal", None), ("worse", args.noise)):
        models[name] = args.pool / f"{name}.onnx"
        if not models[name].exists():
            write_changed(model, models[name], noise)
    truth_map = read_truth_map(args.map) if args.map else None
    jobs = {name: Job(path, truth_map=truth_map) for name, path in models.items()}
    return {name: evaluate_many(bags, job, args.pool / name, say=print_last) for name, job in jobs.items()}


def print_last(lines: list[str]) -> None:
    print(lines[-1])


def write_changed(model: Path, out: Path, noise: float | None) -> None:
    """The model with other weights: ``noise`` times their deviation off, or within a unit of fp16."""
    import onnx
    from onnx import numpy_helper

    rng, network = np.random.default_rng(0), onnx.load(model)
    for weights in network.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype.kind != "f" or values.size < 16:
            continue
        if noise is None:
            changed = values * (1 + rng.uniform(-1, 1, values.shape) * 2.0**-10)
        else:
            changed = values + noise * values.std() * rng.standard_normal(values.shape)
        weights.CopyFrom(numpy_helper.from_array(changed.astype(values.dtype), weights.name))
    with atomic_path(out) as part:
        part.write_bytes(network.SerializeToString())


def tallies_of(stores: dict[str, Path]) -> tuple[TallyForm, Values, Values, Values]:
    """The tallies (bags, k) of the three models."""
    found = []
    for path in (stores["first"], stores["equal"], stores["worse"]):
        with Store(path) as store:
            reader = ScoreReader(store, label_set_of(store).names)
            found.append(np.array(list(reader.tallies([_EVERY])[_EVERY].bags.values())))
    return reader.form, found[0], found[1], found[2]


def difference(first: Values, second: Values, form: TallyForm) -> float:
    """Of the mIoU over all bags."""
    return float(form.of(second.sum(0))["miou"] - form.of(first.sum(0))["miou"])


def moved(first: Values, second: Values, form: TallyForm, wanted: float) -> Values:
    """``second`` moved along the way from ``first`` until the difference of mIoU is as ``wanted``."""
    low, high = 0.0, 1.0
    while difference(first, first + high * (second - first), form) > wanted:
        high *= 2
        if high > 8:
            raise SystemExit("the worse model is not worse: raise --noise")
    for _ in range(60):
        middle = (low + high) / 2
        worse = difference(first, first + middle * (second - first), form) <= wanted
        low, high = (low, middle) if worse else (middle, high)
    return first + high * (second - first)


def flipped(first: Values, second: Values, form: TallyForm) -> tuple[float, float] | None:
    found = paired_differences(first, second, lambda tally: {"miou": form.of(tally)["miou"]})["miou"]
    return None if found.low is None or found.high is None else (found.low, found.high)


def studentised(first: Values, second: Values, form: TallyForm) -> tuple[float, float] | None:
    def scores(tally: Values) -> dict[str, Values]:
        return {"miou": form.of(tally[..., form.size :])["miou"] - form.of(tally[..., : form.size])["miou"]}

    return bootstrap_t(np.hstack([first, second]), scores, samples=200, within=(-1.0, 1.0)).get("miou")


def percentile(first: Values, second: Values, form: TallyForm) -> tuple[float, float] | None:
    n = len(first)
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), 500).astype(np.float64)
    low, high = np.percentile(form.of(draws @ second)["miou"] - form.of(draws @ first)["miou"], [2.5, 97.5])
    return float(low), float(high)


TESTS: dict[str, Interval] = {"sign_flip": flipped, "bootstrap_t": studentised, "percentile": percentile}


def rates(
    form: TallyForm, first: Values, equal: Values, worse: Values, draws: int, drawn: int, seed: int
) -> dict[str, object]:
    """How often each test says that the second is worse or better, and how often its interval holds the truth."""
    rng = np.random.default_rng(seed)
    truth = {"worse": difference(first, worse, form), "equal": difference(first, equal, form), "shuffled": 0.0}
    found: dict[str, dict[str, dict[str, float]]] = {
        test: {
            case: {"found_worse": 0, "found_better": 0, "held_the_truth": 0, "half_width_points": 0.0} for case in truth
        }
        for test in TESTS
    }
    gate = {case: 0 for case in truth}
    changes = {case: {"miou": 0, "some_class": 0} for case in truth}
    for _ in range(draws):
        bags = rng.integers(0, len(first), drawn)
        swap = rng.random(drawn)[:, None] < 0.5
        a, b = first[bags], worse[bags]
        cases = {"worse": (a, b), "equal": (a, equal[bags]), "shuffled": (np.where(swap, b, a), np.where(swap, a, b))}
        for case, (one, two) in cases.items():
            for test, interval in TESTS.items():
                low, high = map(float, interval(one, two, form) or (-1.0, 1.0))
                counts = found[test][case]
                counts["found_worse"] += high < 0
                counts["found_better"] += low > 0
                counts["held_the_truth"] += low <= truth[case] <= high
                counts["half_width_points"] += 50 * (high - low) / draws
                if test == "sign_flip":
                    gate[case] += not low >= -0.005  # --fail-if "miou<-0.5"
            scores = scored(paired_differences(one, two, form.of))
            changes[case]["miou"] += scores["miou"]["change"] is not None
            changes[case]["some_class"] += any(scores[f"iou.{name}"]["change"] is not None for name in form.names)
    return {"draws": draws, "bags": drawn, **found, "exit_status_1": gate, "told_as_changed": changes}


if __name__ == "__main__":
    main()
