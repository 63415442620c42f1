"""How many threads the network gets where the cores are few, many, or a container's share."""

from __future__ import annotations

import os

import pytest

from gemini_ros.inference import cpu


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_one_core_of_more_than_two_is_left_free(monkeypatch, tmp_path, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(cpu, "_QUOTA", tmp_path / "absent")
    assert (cpu.usable_cores(), cpu.default_threads()) == (cores, threads)


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("1600000 100000\n", 8)]
)
def test_a_containers_quota_counts_as_its_cores(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(cpu, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(quota, encoding="utf-8")
    assert cpu.usable_cores() == cores


def test_a_cpu_has_a_name_on_arm_too(monkeypatch, tmp_path):
    assert cpu.cpu_name()
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU part\t: 0xd42\n", encoding="utf-8")
    monkeypatch.setattr(cpu, "_DEVICE_TREE_MODEL", tmp_path / "model")
    assert cpu.cpu_name() == os.uname().machine
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    assert cpu.cpu_name() == "NVIDIA Jetson Orin Nano"
