"""The `boxes.json` of own clouds, from the files that are there, and a small recipe: `vol3d init point_folder`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.assumptions import Reading, readings_of
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.scenes import Scene, SceneReader, SceneSplit
from pointcloud.structures.class_sizes import known_size
from pointcloud.structures.width import width_m
from vol3d.config import Document, make_task, read
from vol3d.config.commented import Line
from vol3d.config.explained import explained
from vol3d.dataset_tools.draft import Draft, Recipe, names_in
from vol3d.errors import UsageError
from vol3d.scans.points.find import find_point_files
from vol3d.terminal import Progress

BOXES = "boxes.json"
WORDS = ("classes", "recipe")
"""What the person may state beside the settings of the data set."""
ROOMS, STREETS = "3detr_rooms_small", "centerpoint_pillars_drives"
_BEGINNINGS = {ROOMS: "3detr-rooms", STREETS: "centerpoint-drives"}
SAMPLED = 5  # clouds that are opened
WIDE_M = 30.0  # a scan that is wider is a street
_ALIKE = 2.0  # lengths of a group of classes
_TURNED_RAD = 0.01
ENOUGH_STEPS = 1000
_EVALUATIONS = 5
_ASK = {
    "up": ("which axis points up", "up=z, up=y or another axis"),
    "units": ("the unit of length", "units=m, units=mm or another unit"),
}


def draft(root: Path, stated: Mapping[str, str], progress: Progress) -> Draft | None:
    """The JSON with every cloud of the folder and no boxes yet; None where there is one already.

    Every fifth cloud validates.

    Args:
        stated: `classes`, names between commas.

    Raises:
        UsageError: no classes: nothing in a folder of clouds names them.
        DataError: a folder without a cloud.
    """
    path = root / BOXES
    if path.exists():
        return None
    files = [file.relative_to(root).as_posix() for file in find_point_files([root])]
    classes = names_in(stated, "classes")
    if not classes:
        do = "Add classes=chair,table; or `vol3d data convert LABELS --from FORMAT -o OUT` for labels of another tool."
        raise UsageError("nothing names the classes", where=root, got=f"{len(files)} clouds, no boxes.json", do=do)
    scenes: dict[str, list[Any]] = {file: [] for file in files}
    content = {"format": 1, "class_names": classes, "scenes": scenes, "validation": held_out(files)}
    remarks = (
        f"{path} has no box yet: fill in the list of each cloud ([] says that it shows no object), and remove clouds "
        "that you do not annotate",
    )
    return Draft(path, content, remarks)


def held_out(files: Sequence[str]) -> list[str]:
    """Every fifth file, for validation: the last where there are fewer, and none of a single one."""
    return list(files[4::5] or files[-1:]) if len(files) > 1 else []


def recipe(data: PointFolderSettings, stated: Mapping[str, str], progress: Progress) -> Recipe:
    """The small recipe of rooms or of streets, by how wide the scans are, for own clouds.

    Some clouds are opened. What they do not state and their points do not show is asked for, never assumed.

    Args:
        stated: `recipe`, the shipped one to begin with, if given.

    Raises:
        UsageError: the axis up or the unit is neither stated nor shown by the points.
        DataError: the data set's own.
    """
    split = data.split().require()
    scenes = list(_sampled([*split.train, *split.validation], progress))
    data_lines, remarks = _data(data, split, scenes)
    width = float(np.median([width_m(scene.cloud) for scene in scenes]))
    name = stated.get("recipe") or (STREETS if width > WIDE_M else ROOMS)
    values = read(name).values
    street = "voxels" in values["model"]
    changes = _street(values["model"], scenes, split) if street else _room(values["augment"], scenes)
    changes += _training(values["train"], len(split.train))
    lines = _lines(name, values | {"data": {}}, [*data_lines, *changes])
    return Recipe(lines, _header(split, scenes, name), [f"{name} for scans {width:.0f} m wide", *remarks])


def _sampled(readers: Sequence[SceneReader], progress: Progress) -> list[Scene]:
    chosen = readers[:: max(1, len(readers) // SAMPLED)][:SAMPLED]
    scenes = []
    for done, reader in enumerate(chosen):
        progress(done, len(chosen), reader.name)
        scenes.append(reader.read())
    return scenes


def _data(data: PointFolderSettings, split: SceneSplit, scenes: Sequence[Scene]) -> tuple[list[Line], list[str]]:
    """`data`, with what the clouds show of axis, unit and columns; and what a person should confirm."""
    readings = [one for scene in scenes for one in readings_of(scene.name, scene.cloud.notes)]
    count = f"{len(split.train)} scenes train, {len(split.validation)} validate"
    lines = [Line("data.name", data.name, f"own clouds and boxes.json; {count}"), Line("data.root", str(data.root), "")]
    for setting in ("up", "units"):
        lines.append(_shown(setting, getattr(data, setting), [one for one in readings if one.setting == setting]))
    remarks = []
    columns = {one.value for one in readings if one.setting == "columns"}
    if data.columns is not None:
        lines.append(Line("data.columns", list(data.columns), "as given"))
    elif len(columns) == 1:
        (value,) = columns
        why = "NOT NAMED in the files: taken from the values, correct them if they are others"
        lines.append(Line("data.columns", value.split(","), why))
        remarks.append(f"the files do not name their columns: {value} by their values; correct data.columns if not so")
    return lines, remarks


def _shown(setting: str, given: str, readings: Sequence[Reading]) -> Line:
    """The axis or the unit as given, as the points show it, or as each file states it."""
    if given != "auto":
        return Line(f"data.{setting}", given, "as given")
    values = Counter(one.value for one in readings)
    if len(values) > 1 or any(one.assumed for one in readings):
        found = ", ".join(f"{value} in {count}" for value, count in values.most_common())
        unknown, words = _ASK[setting]
        raise UsageError(f"the files do not show {unknown}", where=setting, got=f"guesses: {found}", do=f"Add {words}.")
    if not values:
        return Line(f"data.{setting}", "auto", "as each file states it")
    return Line(f"data.{setting}", next(iter(values)), f"as the points of {len(readings)} files show it")


def _room(augment: Mapping[str, Any], scenes: Sequence[Scene]) -> list[Line]:
    """What a recipe of rooms must know of own scans: whether boxes are turned."""
    turned = any((np.abs(scene.truth.boxes[:, 6]) > _TURNED_RAD).any() for scene in scenes)
    if not turned or not augment.get("axis_aligned"):
        return []
    return [Line("augment.axis_aligned", False, "boxes have a yaw, and turn with the scan")]


def _training(train: Mapping[str, Any], scenes: int) -> list[Line]:
    """No batch larger than the data set, and at least as many steps as a plan has."""
    batch = min(train["batch"], max(scenes, 1))
    in_an_epoch = max(scenes // batch, 1)
    epochs = max(train["epochs"], math.ceil(ENOUGH_STEPS / in_an_epoch))
    why = f"passes over {scenes} training scenes: {epochs * in_an_epoch:,} steps, {ENOUGH_STEPS:,} or more"
    return [
        Line("train.epochs", epochs, why),
        Line("train.batch", batch, "scenes in a step"),
        Line("train.evaluate_every", max(1, epochs // _EVALUATIONS), f"epochs; {_EVALUATIONS} evaluations in all"),
    ]


def _street(model: Mapping[str, Any], scenes: Sequence[Scene], split: SceneSplit) -> list[Line]:
    """What a LiDAR recipe must know of own sweeps: their columns, the groups of classes, whether boxes move."""
    measured = all("intensity" in scene.cloud.columns for scene in scenes)
    moving = any(scene.truth.boxes.shape[1] > 7 for scene in scenes)
    low, high = np.percentile(np.concatenate([scene.cloud.xyz for scene in scenes]), (1, 99), axis=0)
    ends = ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
    groups = _groups(scenes, split.class_names)
    why = "classes of like length share a group; lengths are those of the boxes, or usual ones"
    return [
        Line("model.features", ["intensity"] if measured else [], f"columns; intensity is {_in(measured)} the files"),
        Line("model.voxels.point_range_m", model["voxels"]["point_range_m"], f"98 % of the points: {ends} m"),
        Line("model.head.tasks", groups, why),
        Line("model.head.velocity", moving, f"velocities are {_in(moving)} the boxes"),
    ]


def _in(there: bool) -> str:
    return "in" if there else "not in"


def _groups(scenes: Sequence[Scene], class_names: Sequence[str]) -> list[list[str]]:
    """Classes by length, a new group where one is over twice as long as its shortest; of unknown length the last."""
    labels = np.concatenate([scene.truth.labels for scene in scenes])
    lengths = np.concatenate([scene.truth.boxes[:, 3] for scene in scenes])
    known: dict[str, float] = {}
    for label, name in enumerate(class_names):
        usual = known_size(name.lower().replace("_", " "), turned=True)
        if (labels == label).any():
            known[name] = float(np.median(lengths[labels == label]))
        elif usual is not None:
            known[name] = usual[0]
    groups: list[list[str]] = []
    for name in sorted(known, key=known.__getitem__):
        if groups and known[name] <= _ALIKE * known[groups[-1][0]]:
            groups[-1].append(name)
        else:
            groups.append([name])
    unknown = [name for name in class_names if name not in known]
    return [*groups, unknown] if unknown else groups


def _lines(source: str, values: dict[str, Any], own: Sequence[Line]) -> list[Line]:
    """A recipe's settings with what they mean, and own ones in their places with their reasons.

    Raises:
        UsageError: a training would refuse them.
    """
    for line in own:
        *sections, name = line.key.split(".")
        target = values
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = line.value
    meaning = {line.key: line.why for line in explained(make_task(Document(source, values, {})).settings)}
    reasons = meaning | {line.key: line.why for line in own}
    return [Line(key, value, reasons.get(key, "")) for key, value in _flat(values, "", meaning)]


def _flat(values: Mapping[str, Any], prefix: str, known: Container[str]) -> Iterator[tuple[str, Any]]:
    """Settings by their whole keys; one whose value is itself a mapping stays whole."""
    for name, value in values.items():
        key = prefix + name
        if isinstance(value, dict) and key not in known:
            yield from _flat(value, f"{key}.", known)
        else:
            yield key, value


def _header(split: SceneSplit, scenes: Sequence[Scene], name: str) -> str:
    points = np.median([len(scene.cloud) for scene in scenes])
    return "\n".join(
        (
            f"{split.name}: by `vol3d init`, from {name} and {len(scenes)} clouds of about {points:,.0f} points.",
            "",
            "Command: vol3d train THIS; a first look: --dry-run. With few scenes begin with what a shipped model has",
            f"learnt: start_from={_BEGINNINGS.get(name, 'MODEL')} (`vol3d models` lists them).",
        )
    )
