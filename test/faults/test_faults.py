"""Faults on a running segmenter, one after another: after each the map is honest, something was said, and all recovers.

``make test`` runs the quick ones, ``make test-all`` all; ``--junitxml`` records how long each recovery took. The node
is a process, and everything goes over DDS.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from test.conftest import private_ros
from test.faults.faults import CLOCK_FAULTS, COMPRESSED_FAULTS, FAULTS, Fault, inflict
from test.faults.world import World, world
from test.nodes.rig import robot

Record = Callable[[str, object], None]


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


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compressed")
    with (
        private_ros(folder) as environment,
        robot(("labels",), {"rgb": "/compressed"}) as r,
        world(environment, folder, r, rgb__image_transport="compressed") as made,
    ):
        yield made


def suffer(made: World, fault: Fault, record_property: Record) -> None:
    record_property("recovery_s", round(inflict(made, fault), 3))


def _quick_first(fault: Fault):
    return pytest.param(fault, id=fault.name, marks=[] if fault.quick else [pytest.mark.slow])


@pytest.mark.parametrize("fault", [_quick_first(fault) for fault in FAULTS.values()])
def test_a_fault_strands_nobody(active: World, fault: Fault, record_property: Record):
    suffer(active, fault, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [_quick_first(fault) for fault in CLOCK_FAULTS.values()])
def test_a_clock_strands_nobody(simulated: World, fault: Fault, record_property: Record):
    suffer(simulated, fault, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [_quick_first(fault) for fault in COMPRESSED_FAULTS.values()])
def test_compressed_images_strand_nobody(compressed: World, fault: Fault, record_property: Record):
    suffer(compressed, fault, record_property)
