"""Names that a shell may complete, found without importing torch."""

from __future__ import annotations

from vol3d import catalog
from vol3d.paths import user_path


def datasets(incomplete: str) -> list[str]:
    """Data sets of the catalogue."""
    return [name for name in catalog.DATASETS if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes, then YAML files and folders."""
    from vol3d.config import recipes as shipped

    names = [name for name in shipped() if name.startswith(incomplete)]
    return names + [path for path in paths(incomplete) if path.endswith(("/", ".yaml", ".yml"))]


def checkpoints(incomplete: str) -> list[str]:
    """Shipped models, then folders and weights."""
    names = [name for name in catalog.shipped() if name.startswith(incomplete)]
    return names + [path for path in paths(incomplete) if path.endswith(("/", ".safetensors"))]


def paths(incomplete: str) -> list[str]:
    """Files and folders (with a slash at the end) that begin so; hidden ones only when asked for."""
    head, slash, start = incomplete.rpartition("/")
    folder = user_path(head + slash or ".")
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    found = [entry for entry in entries if entry.name.startswith(start) and (start or entry.name[0] != ".")]
    return [f"{head}{slash}{entry.name}{'/' if entry.is_dir() else ''}" for entry in found]
