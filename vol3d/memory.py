"""How much main memory this process may still take: of the machine, of its container, and of its own limit."""

from __future__ import annotations

import re
import sys
from os import PathLike
from pathlib import Path
from typing import Literal

from vol3d.errors import DataError, UsageError

_UNKNOWN = 8 << 30  # bytes, where the operating system does not say
_UNITS = {"": 1} | {
    f"{letter}{i}": base**power for power, letter in enumerate("kmgt", 1) for i, base in (("", 1000), ("i", 1024))
}
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes of main memory that this process may still take, as the operating system estimates."""
    if sys.platform != "linux":
        return _UNKNOWN
    return max(0, min(_of_the_machine(), *_of_the_cgroups(), _of_the_process()))


def size_of(text: str, where: str) -> int:
    """Bytes that a person writes as `8GB`, `500 MB` or `8GiB`.

    Args:
        where: what to call the argument in a message.

    Raises:
        UsageError: something else, or nothing.

    >>> size_of("1.5 GB", "--memory"), size_of("2GiB", "--memory")
    (1500000000, 2147483648)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?(B?)\s*", text, re.IGNORECASE)
    has_unit = found is not None and bool(found[2] or found[3])  # a bare 8 was hardly meant to be 8 bytes
    size = round(float(found[1]) * _UNITS[(found[2] or "").casefold()]) if found and has_unit else 0
    if size < 1:
        raise UsageError("no size of memory", where=where, got=text, wanted="8GB, for example")
    return size


def require_memory(
    need: int,
    what: str,
    where: str | PathLike[str] | None,
    got: str = "",
    do: str | None = None,
    unit: Literal["GiB", "MiB"] = "GiB",
) -> None:
    """Raises DataError where fewer than `need` bytes are free, before any of them is taken.

    Args:
        what: the fault, `the points do not fit into this machine's memory`.
        where: the file.
        got: what needs them, in front of their number.
        unit: of the numbers.
    """

    def words(size: int) -> str:
        return f"{size / 2**30:.2f} GiB" if unit == "GiB" else f"{size / 2**20:.0f} MiB"

    if need > (free := free_memory()):
        raise DataError(what, where=where, got=got + words(need), wanted=f"at most {words(free)}", do=do)


def _of_the_machine() -> int:
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return _UNKNOWN


def _of_the_cgroups() -> list[int]:
    """What each group above this process leaves; pages of files that could be given back count as free."""
    try:
        lines = [line.split(":", 2) for line in (_PROC / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        return []
    left: list[int] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers == "":
            root, limit, used, reclaimable = _CGROUPS, "memory.max", "memory.current", "inactive_file "
        elif "memory" in controllers.split(","):
            root, limit = _CGROUPS / "memory", "memory.limit_in_bytes"
            used, reclaimable = "memory.usage_in_bytes", "total_inactive_file "
        else:
            continue
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            left += _of_one_group(folder, limit, used, reclaimable)
            if folder == root:
                break
    return left


def _of_one_group(folder: Path, limit: str, used: str, reclaimable: str) -> list[int]:
    try:
        most, taken = int((folder / limit).read_text()), int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no such group inside this container, or "max": no limit
        return []
    return [most - taken + sum(int(line.split()[1]) for line in lines if line.startswith(reclaimable))]


def _of_the_process() -> int:
    """What `ulimit -v` leaves."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    return most - int((_PROC / "self" / "statm").read_text().split()[0]) * resource.getpagesize()
