"""How much main memory is left."""

from __future__ import annotations

from pathlib import Path


def free_memory() -> int:
    """Bytes of main memory that a process may still take, as the operating system estimates."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux
        return 8 << 30
