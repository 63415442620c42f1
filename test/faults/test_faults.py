"""Faults on a running segmenter, one after another: after each the map is honest, something was said, and all recovers.

``make test`` runs the quick ones, ``make test-all`` all of them. The node is a process, and everything goes over DDS.
"""

from __future__ import annotations

import pytest

from test.conftest import private_ros
from test.faults.faults import CLOCK_FAULTS, FAULTS, Fault
from test.faults.world import World, world
from test.nodes.rig import robot

_TRIES = 5


@pytest.fixture(scope="module")
def active(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with private_ros(folder) as environment, robot(("labels",)) as r, world(environment, folder, r) as made:
        yield made


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    with (
        private_ros(folder) as environment,
        robot(("labels",)) as r,
        world(environment, folder, r, use_sim_time=True) as made,
    ):
        yield made


def suffer(made: World, fault: Fault) -> None:
    """Until it was said, for the diagnostics come once a second, the fault goes on."""
    made.good(2)
    made.forget()
    for _ in range(_TRIES):
        fault.inject(made)
        if not fault.said or any(fault.said in sentence for sentence in made.seen.sentences):
            break
    else:
        pytest.fail(f"nothing like {fault.said!r} in {sorted(made.seen.sentences)}")
    made.check()
    made.recoveries[fault.name] = made.recover()
    made.check()


def _quick_first(fault: Fault):
    return pytest.param(fault, id=fault.name, marks=[] if fault.quick else [pytest.mark.slow])


@pytest.mark.parametrize("fault", [_quick_first(fault) for fault in FAULTS.values()])
def test_a_fault_strands_nobody(active: World, fault: Fault):
    suffer(active, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [_quick_first(fault) for fault in CLOCK_FAULTS.values()])
def test_a_clock_strands_nobody(simulated: World, fault: Fault):
    suffer(simulated, fault)
