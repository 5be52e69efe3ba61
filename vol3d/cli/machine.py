"""Facts about the machine; each is looked up alone, so that one that cannot be had does not hide the others."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vol3d.ownership import OURS, describe
from vol3d.report.environment import installed, versions

# Extra of the distribution -> the packages that it brings; those for developing vol3d are left out.
EXTRAS = {
    "argoverse": ("pyarrow",),
    "dicom": ("highdicom",),
    "e57": ("pye57",),
    "lidar": ("laspy",),
    "loggers": ("wandb", "mlflow-skinny", "sqlalchemy", "alembic"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "rerun": ("rerun-sdk",),
    "ros": ("rosbags",),
    "surfaces": ("scikit-image", "trimesh"),
    "viewer": ("open3d",),
}
_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "neon", "asimd", "sve")
_SHM_WANTED_GB = 1.0


def examine() -> dict[str, dict[str, Any]]:
    """Title of a part -> name of a fact -> its value."""
    return {
        "versions": dict(versions()),
        "packages": {name: _or_reason(partial(describe, name)) for name in OURS},
        "machine": {name: _or_reason(look) for name, look in _MACHINE.items()},
        "cuda": _either(_cuda),
        "sparse": _either(_sparse),
        "optional": {name: optional(name) for name in EXTRAS},
        "viewer": _either(_viewer),
        "folders": {name: _or_reason(look) for name, look in _FOLDERS.items()},
    }


def optional(extra: str) -> str:
    """Versions of an extra's packages, and the line that installs those that are missing."""
    found = {name: installed(name) for name in EXTRAS[extra]}
    there = [f"{name} {version}" for name, version in found.items() if version]
    missing = [name for name, version in found.items() if not version]
    if not missing:
        return ", ".join(there)
    what = f"{', '.join(there)}; {', '.join(missing)} not installed" if there else "not installed"
    return f"{what}: pip install 'vol3d[{extra}]'"


def _or_reason(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except Exception as error:
        return f"unknown ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"


def _either(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    found = _or_reason(look)
    return found if isinstance(found, dict) else {"state": found}


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _flags() -> list[str]:
    known = next((line.split() for line in _lines("/proc/cpuinfo") if line.startswith(("flags", "Features"))), [])
    return [flag for flag in _FLAGS if flag in known]


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} usable of {os.cpu_count()}"


def _memory() -> str | None:
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.endswith("kB")}
    if "MemTotal" in sizes:
        return f"{_gb(sizes['MemTotal'])} GB, {_gb(sizes.get('MemAvailable', 0))} GB available"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return f"{_gb(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))} GB"
    return None


def _shared_memory() -> str:
    if not Path("/dev/shm").is_dir():
        return "none on this system"
    size = shutil.disk_usage("/dev/shm").total
    advice = "; small: docker run --shm-size=2g, or train.workers=0" if size < _SHM_WANTED_GB * 1e9 else ""
    return f"{_gb(size)} GB{advice}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(errors="replace").splitlines() if Path(path).is_file() else []


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f}"


def _cuda() -> dict[str, Any]:
    import torch

    facts: dict[str, Any] = {"available": torch.cuda.is_available(), "built for": torch.version.cuda or "CPU only"}
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        facts[f"device {index}"] = (
            f"{device.name}, {_gb(device.total_memory)} GB, compute {device.major}.{device.minor}"
        )
    return facts


def _sparse() -> dict[str, Any]:
    """Backends of the sparse convolutions."""
    from vol3d.sparse import list_backends

    return {one.name: "available" if one.available else f"no: {one.reason}" for one in list_backends()}


def _viewer() -> dict[str, Any]:
    """What `vol3d view` can show here, and how to get what Open3D lacks."""
    from vol3d.view.window.libraries import install_lines, missing_libraries, why_no_window

    missing, fault = missing_libraries(), why_no_window()
    return {
        "window": "ready" if fault is None else f"no: {fault}",
        "libraries": f"missing {', '.join(missing)}; {install_lines(missing)}" if missing else "all there",
        "page, picture": "ready",
    }


def _display() -> str:
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or "none"


def _writable(folder: Path) -> str:
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} is writable, {_gb(shutil.disk_usage(folder).free)} GB free"


_MACHINE: dict[str, Callable[[], Any]] = {
    "processor": _processor,
    "flags": _flags,
    "cores": _cores,
    "memory": _memory,
    "/dev/shm": _shared_memory,
    "display": _display,
    "threads": lambda: {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")} or "not limited",
    "terminal": lambda: sys.stdout.isatty(),
    "triton": lambda: find_spec("triton") is not None,
}
_FOLDERS: dict[str, Callable[[], Any]] = {
    "runs": lambda: _writable(Path.cwd()),
    "temporary": lambda: _writable(Path(tempfile.gettempdir())),
    "installed": lambda: str(Path(__file__).resolve().parents[1]),
}
