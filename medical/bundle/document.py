"""The files of a bundle: its configuration, what it says about itself, and where its folder is. Nothing is interpreted.

`configs/inference.json` (or `.yaml`) describes the workflow, `configs/metadata.json` the model for a reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from medical.bundle.ids import SEPARATOR, normal, put
from vol3d.errors import CheckpointError, UsageError, Vol3dError
from vol3d.files import read_json, read_text

CONFIGS, METADATA, META_ID = "configs", "metadata.json", "_meta_"
SUFFIXES = (".json", ".yaml", ".yml")
MAX_BYTES, MAX_VALUES, MAX_DEPTH = 4 << 20, 100_000, 60


@dataclass(frozen=True)
class Document:
    """What the files of a bundle say.

    Args:
        root: the bundle's folder.
        file: the configuration that was read.
        values: its content, with the metadata under `_meta_`.
        metadata: what the bundle says about itself, empty where it says nothing.
    """

    root: Path
    file: Path
    values: dict[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def place(self, id_: str) -> str:
        """Where an entry stands, for messages."""
        return f"{self.file}: {id_}" if id_ else str(self.file)


def read_bundle(root: Path, config: str = "inference", overrides: Mapping[str, Any] | None = None) -> Document:
    """The configuration and the metadata of a bundle.

    Args:
        config: name of the configuration in `configs/`, without its suffix.
        overrides: id -> value in place of the one in the file, `{"displayable_configs::highres": False}`.

    Raises:
        CheckpointError: a file is missing, damaged, too large or no mapping.
        UsageError: an override of an entry that is not there.
    """
    file = _config_file(root, config)
    values = _mapping(file)
    metadata = read_metadata(root)
    for id_, value in (overrides or {}).items():
        if not put(values, normal(id_), value):
            known = ", ".join(values)
            raise UsageError("the bundle has no such entry", where=f"{file}: {id_}", wanted=f"an entry, as in {known}")
    if "bundle_root" in values:
        values["bundle_root"] = "."  # wherever its authors had it
    return Document(root, file, {**values, META_ID: dict(metadata)}, metadata)


def read_metadata(root: Path) -> Mapping[str, Any]:
    """What the bundle says about itself; empty where the file is missing."""
    file = root / CONFIGS / METADATA
    return _mapping(file) if file.is_file() else {}


def read_values(file: Path) -> Any:
    """The content of a JSON or YAML file, in the sense that MONAI reads it.

    Raises:
        CheckpointError: missing, damaged, too large, a key twice, nested too deeply.
    """
    try:
        if file.suffix.lower() == ".json":
            values = read_json(file, MAX_BYTES)
        else:
            if file.is_file() and file.stat().st_size > MAX_BYTES:
                raise CheckpointError("the file is too large", where=file, wanted=f"<= {MAX_BYTES} bytes")
            values = yaml.load(read_text(file), _UniqueKeys)
    except yaml.YAMLError as error:
        raise CheckpointError(f"not YAML: {' '.join(str(error).split())[:200]}", where=file) from error
    except RecursionError as error:
        raise CheckpointError("nested too deeply", where=file) from error
    except CheckpointError:
        raise
    except Vol3dError as error:
        raise CheckpointError(error.what, where=error.where, got=error.got, wanted=error.wanted) from error
    return _unshared(values, file)


def _config_file(root: Path, config: str) -> Path:
    folder = root / CONFIGS
    for suffix in SUFFIXES:
        if (folder / f"{config}{suffix}").is_file():
            return folder / f"{config}{suffix}"
    there = sorted(one.stem for one in folder.glob("*") if one.suffix in SUFFIXES and one.name != METADATA)
    got = f"{', '.join(there)}" if there else "no configuration"
    wanted = f"{CONFIGS}/{config}.json or .yaml"
    do = "vol3d runs the inference workflow of a bundle; another configuration is chosen with config=NAME."
    raise CheckpointError("a MONAI bundle without that configuration", where=root, got=got, wanted=wanted, do=do)


def _mapping(file: Path) -> dict[str, Any]:
    values = read_values(file)
    if not isinstance(values, dict):
        raise CheckpointError("not a mapping", where=file, got=type(values).__name__)
    merged: dict[str, Any] = {}
    for key, value in values.items():  # a key may be a path: "network_def#in_channels"
        if SEPARATOR not in normal(key) or not put(merged, normal(key), value):
            merged[str(key)] = value
    return merged


def _unshared(values: Any, file: Path) -> Any:
    """A copy in which no part stands twice, as YAML's anchors make it; counted, since anchors can multiply."""
    left = [MAX_VALUES]

    def copied(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > MAX_DEPTH:
            raise CheckpointError(
                "too many or too deep values", where=file, wanted=f"<= {MAX_VALUES}, {MAX_DEPTH} deep"
            )
        if isinstance(value, dict):
            return {key: copied(item, depth + 1) for key, item in value.items()}
        return [copied(item, depth + 1) for item in value] if isinstance(value, list) else value

    return copied(values, 0)


class _UniqueKeys(yaml.SafeLoader):
    """YAML's plain types only; a key that is there twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
