"""What this process may use of the machine: by affinity, and by the quota of its control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasgan import machine


def _group(root: Path, place: str, **files: str) -> None:
    folder = root / "sys/fs/cgroup" / place
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def _in_groups(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines))


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert machine.cpu_quota(tmp_path) is None


def test_a_group_of_the_second_version_limits_its_own_and_those_below(tmp_path: Path) -> None:
    _in_groups(tmp_path, "0::/outer/inner")
    _group(tmp_path, "outer/inner", cpu__max="max 100000")
    assert machine.cpu_quota(tmp_path) is None
    _group(tmp_path, "outer", cpu__max="250000 100000")
    assert machine.cpu_quota(tmp_path) == 2.5
    _group(tmp_path, "outer/inner", cpu__max="150000 100000")
    assert machine.cpu_quota(tmp_path) == 1.5


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    _in_groups(tmp_path, "0::/../../docker/0123")
    _group(tmp_path, "", cpu__max="300000 100000")
    assert machine.cpu_quota(tmp_path) == 3.0


def test_a_group_of_the_first_version_limits_its_processes(tmp_path: Path) -> None:
    _in_groups(tmp_path, "5:memory:/job", "4:cpu,cpuacct:/job")
    _group(tmp_path, "cpu/job", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert machine.cpu_quota(tmp_path) is None
    _group(tmp_path, "cpu/job", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    assert machine.cpu_quota(tmp_path) == 4.0


@pytest.mark.parametrize("place", ["job", ""])
@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_a_container_of_the_first_version_is_limited_wherever_its_controllers_are_mounted(
    tmp_path: Path, folder: str, place: str
) -> None:
    _in_groups(tmp_path, "4:cpu,cpuacct:/job", "0::/")
    _group(tmp_path, f"{folder}/{place}", cpu__cfs_quota_us="150000", cpu__cfs_period_us="50000")
    assert machine.cpu_quota(tmp_path) == 3.0


def test_the_limits_of_other_controllers_are_not_taken_for_a_quota(tmp_path: Path) -> None:
    _in_groups(tmp_path, "6:cpuset:/job", "5:cpuacct:/job")
    _group(tmp_path, "cpuset/job", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    _group(tmp_path, "cpu/job", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    assert machine.cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (2.5, 2), (0.5, 1), (64.0, 8)])
def test_usable_cores_are_those_of_both_affinity_and_quota(
    quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert machine.usable_cores() == cores
