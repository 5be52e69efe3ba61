"""What `metadata.json` of a bundle says about itself: names, and the card of `vol3d models BUNDLE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medical.bundle.document import read_bundle
from vol3d.printable import one_line

SAID = (
    *("name", "version", "task", "description", "intended_use", "authors", "copyright", "license"),
    *("data_source", "eval_metrics", "references", "monai_version"),
)


def card(folder: Path) -> dict[str, Any]:
    """Name -> value of what a bundle says about itself; reads no weights and does not import torch.

    Raises:
        CheckpointError: its files are missing or damaged.
    """
    document = read_bundle(folder)
    said = document.metadata
    shown: dict[str, Any] = {key: said[key] for key in SAID if said.get(key)}
    shown.setdefault("name", folder.resolve().name)
    licences = sorted(one.name for one in folder.glob("LICENSE*"))
    shown |= {"licence_file": licences} if licences else {}
    image = format_of(said, "inputs", "image")
    shown |= {"modality": image["modality"]} if image.get("modality") else {}
    shown |= {"channels": list(defined(said, "inputs", "image")), "classes": list(defined(said, "outputs", "pred"))}
    return {key: shown[key] for key in ("name", *(key for key in shown if key != "name"))}


def format_of(metadata: Mapping[str, Any], side: str, name: str) -> Mapping[str, Any]:
    """What the metadata say about the input `image` or the output `pred`; empty where they say nothing."""
    found: Any = metadata
    for key in ("network_data_format", side):
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        found = found.get(name, next(iter(found.values()), None) if len(found) == 1 else None)
    return found if isinstance(found, Mapping) else {}


def defined(metadata: Mapping[str, Any], side: str, name: str) -> tuple[str, ...]:
    """The names in `channel_def`, in the order of their numbers; empty where there are none."""
    found = format_of(metadata, side, name).get("channel_def")
    if not isinstance(found, Mapping):
        return ()
    try:
        numbers = {int(key): one_line(value)[:100] for key, value in found.items()}
    except (TypeError, ValueError):
        return ()
    return tuple(numbers[key] for key in sorted(numbers)) if sorted(numbers) == list(range(len(numbers))) else ()
