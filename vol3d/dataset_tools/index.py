"""The index of a prepared folder: accepted only if it matches the wanted data set and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vol3d.errors import UsageError


def refuse_other(found: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    """Raises UsageError with the keys in which the folder differs from what is wanted."""
    have, want = flat({key: found.get(key) for key in wanted}), flat(wanted)
    keys = [key for key in sorted(have.keys() | want.keys()) if have.get(key) != want.get(key)]
    if keys:
        raise UsageError(
            f"the folder was prepared with another {', '.join(keys)}",
            where=out,
            got=", ".join(f"{key} {have.get(key)}" for key in keys),
            wanted=", ".join(f"{key} {want.get(key)}" for key in keys),
            do="Choose another folder, or prepare it anew after deleting this one.",
        )


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {prefix + key: item}
    return found
