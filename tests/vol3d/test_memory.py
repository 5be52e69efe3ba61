"""Free memory: the smallest of what machine, container and process leave."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vol3d import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_of_the_process", lambda: sys.maxsize)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 2000 kB\n")
    return tmp_path


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(str(content))


def test_of_the_machine(machine: Path) -> None:
    assert memory.free_memory() == 2000 * 1024
    (machine / "proc/meminfo").unlink()
    assert memory.free_memory() == 8 << 30


def test_of_a_container(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/job/step\n")
    group(machine / "cgroup/job", memory_max=5000, memory_current=4000, memory_stat="anon 1\ninactive_file 300\n")
    group(machine / "cgroup/job/step", memory_max="max", memory_current=4000, memory_stat="")
    assert memory.free_memory() == 1300
    group(machine / "cgroup/job", memory_max=3000)
    assert memory.free_memory() == 0


def test_of_an_old_container(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("5:cpu:/x\n4:memory:/x\n")
    group(
        machine / "cgroup/memory",
        memory_limit_in_bytes=900,
        memory_usage_in_bytes=100,
        memory_stat="total_inactive_file 50\n",
    )
    assert memory.free_memory() == 850


def test_of_a_process_with_a_limit() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (mapped + (64 << 20), before[1]))
        assert memory.free_memory() <= 64 << 20
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
