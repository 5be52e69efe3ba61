"""The annotated objects of a training set, cut out with their points once and kept: what `paste` puts into scenes.

The file's name is a hash of all that it was made from, so that one that does not fit is never taken.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from pointcloud.datasets.scenes import SceneReader
from pointcloud.structures.features import Feature, width
from pointcloud.training.augment import TrainingScene
from pointcloud.training.object_file import CutObject, ObjectBank, write_objects
from pointcloud.training.samples import to_training_scene
from vol3d.class_names import spelled_as
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.files import make_folder, remove_leftovers
from vol3d.geometry import box_of_points, points_in_boxes
from vol3d.lock import FolderBusyError, lock
from vol3d.paths import cache_folder
from vol3d.terminal import Progress

Count = Annotated[int, Field(ge=0)]
FORMAT = 1
WAIT_S = 1.0


class PasteSettings(Settings):
    """Copies of annotated objects in other scenes ("GT sampling": Yan et al., SECOND, 2018, section 3.2)."""

    counts: dict[str, Count] = Field(description="class -> objects that a scene is filled up to")
    min_points: int = Field(5, ge=1, description="objects with fewer points are not copied")
    cache: Path | None = Field(None, description="folder for the objects that were cut out; null: ~/.cache/vol3d")


def object_bank(
    scenes: Sequence[SceneReader],
    features: Sequence[Feature],
    class_names: Sequence[str],
    settings: PasteSettings,
    progress: Progress | None = None,
) -> ObjectBank:
    """The objects of the training scenes, from the cache if they are there.

    Of several processes that want the same file one makes it, and the others wait.

    Args:
        scenes: of training, never of validation.
        features: columns that points are kept with.
        class_names: `class_names[label]`.
        progress: called for each scene that is read.

    Raises:
        UsageError: a class that is none of these.
        Vol3dError: the cache cannot be written.
    """
    counts = _by_label(settings.counts, class_names)
    facts = [FORMAT, list(features), list(class_names), sorted(counts), settings.min_points]
    folder = _cache_folder(settings)
    path = folder / _file_name(facts, scenes)

    while not path.is_file():
        try:
            with lock(folder):
                if not path.is_file():
                    remove_leftovers(folder)
                    objects = cut_all(scenes, features, list(counts), settings.min_points, progress)
                    write_objects(path, objects, 3 + width(features))
        except FolderBusyError:
            if progress:
                progress(0, len(scenes), f"(another process works in {folder})")
            time.sleep(WAIT_S)

    return ObjectBank(path, counts)


def _by_label(counts: Mapping[str, int], class_names: Sequence[str]) -> dict[int, int]:
    """Label -> objects that a scene is filled up to, without classes that are not pasted at all."""
    spelling = spelled_as(tuple(counts), class_names, "paste.counts")
    counts = {spelling.get(name, name): count for name, count in counts.items()}
    unknown = [name for name in counts if name not in class_names]
    if unknown:
        wanted = ", ".join(class_names)
        raise UsageError("objects of an unknown class", where="paste.counts", got=unknown[0], wanted=wanted)
    return {class_names.index(name): count for name, count in counts.items() if count > 0}


def _cache_folder(settings: PasteSettings) -> Path:
    return make_folder(settings.cache or cache_folder(), do="Set paste.cache.")


def _file_name(facts: list[object], scenes: Sequence[SceneReader]) -> str:
    """A hash of all that the objects depend on."""
    digest = hashlib.sha256(json.dumps(facts).encode())
    for scene in scenes:
        digest.update(scene.fingerprint(quick=True).encode())
    return f"objects-{digest.hexdigest()[:32]}.safetensors"


def cut_all(
    scenes: Sequence[SceneReader],
    features: Sequence[Feature],
    labels: Collection[int],
    min_points: int,
    progress: Progress | None,
) -> Iterator[CutObject]:
    """Each object with a label of these and enough points."""
    for done, reader in enumerate(scenes, 1):
        yield from cut(to_training_scene(reader.read(), features), labels, min_points)
        if progress:
            progress(done, len(scenes), reader.name)


def cut(scene: TrainingScene, labels: Collection[int], min_points: int) -> Iterator[CutObject]:
    """`cut_all` of one scene. A point in two boxes belongs to both."""
    wanted = np.flatnonzero(np.isin(scene.labels, list(labels)))
    boxes, xyz = torch.from_numpy(scene.boxes[wanted]), torch.from_numpy(np.array(scene.xyz))
    scene = scene.at(box_of_points(xyz, boxes).numpy() >= 0)  # most points are in no box at all
    inside = points_in_boxes(torch.from_numpy(scene.xyz), boxes).numpy()
    for own, index in zip(inside, wanted, strict=True):
        rows = np.flatnonzero(own)
        if len(rows) < min_points:
            continue
        box = np.full(9, np.nan, np.float32)
        box[: scene.boxes.shape[1]] = scene.boxes[index]
        points = np.concatenate([scene.xyz[rows] - box[:3], scene.features[rows]], axis=1)
        yield CutObject(points, box, int(scene.labels[index]))
