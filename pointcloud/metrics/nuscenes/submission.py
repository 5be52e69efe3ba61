"""The official result file of nuScenes detection: one JSON object with `meta` and, for each sample token, its boxes.

Boxes stand in the global frame: `translation` of the centre, `size` w l h, `rotation` as a quaternion w x y z,
`velocity` in m/s, `detection_name`, `detection_score`, `attribute_name` ("" for none). A file of the whole validation
split holds hundreds of megabytes; its boxes are packed while it is read.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from pointcloud.conventions.nuscenes import NuscenesBoxes, boxes_to_nuscenes
from pointcloud.metrics.nuscenes.boxes import (
    ATTRIBUTES,
    CLASSES,
    MAX_BOXES,
    NO_ATTRIBUTE,
    NuscenesDetections,
    from_columns,
)
from vol3d.errors import DataError
from vol3d.files import atomic, read_json

USES = ("use_camera", "use_lidar", "use_radar", "use_map", "use_external")
LIDAR_ONLY = {use: use == "use_lidar" for use in USES}
_MAX_BYTES = 8 << 30
_VECTORS = {"translation": (3, "x y z"), "size": (3, "w l h"), "rotation": (4, "w x y z"), "velocity": (2, "vx vy")}
_WIDTH = 13  # those and the score
_NUMBERS = frozenset((float, int))  # a bool is an int, but its type is another
_LABELS = {name: label for label, name in enumerate(CLASSES)}
_ATTRIBUTES = {name: number for number, name in enumerate(ATTRIBUTES)} | {"": NO_ATTRIBUTE}


@dataclass(frozen=True, eq=False)
class Submission:
    """A result file: what the detector used (`USES`) and what it found, token -> boxes in the order of the file."""

    meta: Mapping[str, bool]
    results: Mapping[str, NuscenesDetections]


def write_submission(path: str | Path, submission: Submission) -> None:
    """Writes a result file, sample after sample, all digits.

    Raises:
        DataError: a value that is not finite, more than 500 boxes in a sample.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"meta": {json.dumps(dict(submission.meta))}, "results": {{')
        for index, (token, found) in enumerate(submission.results.items()):
            if len(found) > MAX_BOXES:
                got, wanted = len(found), f"at most {MAX_BOXES}"
                raise DataError(f"too many boxes in sample '{token}'", where=path, got=got, wanted=wanted)
            if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
                raise DataError(f"a detection of sample '{token}' is not finite, nothing was written", where=path)
            file.write(",\n" if index else "\n")
            file.write(f"{json.dumps(token)}: {json.dumps(_entries(token, found))}")
        file.write("\n}}\n")


def _entries(token: str, found: NuscenesDetections) -> list[dict[str, Any]]:
    columns = boxes_to_nuscenes(torch.from_numpy(found.boxes), torch.eye(4, dtype=torch.float64))
    vectors = [column.numpy().tolist() for column in columns if column is not None]
    names = [CLASSES[label] for label in found.labels]
    attributes = ["" if number == NO_ATTRIBUTE else ATTRIBUTES[number] for number in found.attributes]
    return [
        {
            "sample_token": token,
            "translation": translation,
            "size": size,
            "rotation": rotation,
            "velocity": velocity,
            "detection_name": name,
            "detection_score": score,
            "attribute_name": attribute,
        }
        for translation, size, rotation, velocity, name, score, attribute in zip(
            *vectors, names, found.scores.tolist(), attributes, strict=True
        )
    ]


def read_submission(path: str | Path, tokens: Collection[str] | None = None) -> Submission:
    """What a result file holds, in the order of its samples; boxes are laid flat.

    Args:
        path: the JSON file.
        tokens: those of the split that was asked for; None: whatever the file has.

    Raises:
        DataError: not such a file; a sample that is there twice, missing or unknown; a box that stands under another
            sample's token, lacks a field, is of no class or attribute of the benchmark, is not finite or has no
            extent; more than 500 boxes in a sample.
    """
    packed = _Packed(Path(path))
    content = read_json(path, _MAX_BYTES, packed.object)
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise DataError("not a nuScenes result file", where=path, wanted="an object with 'meta' and 'results'")
    meta = content.get("meta")
    if not isinstance(meta, dict) or not all(isinstance(meta.get(use), bool) for use in USES):
        raise DataError("'meta' does not say what was used", where=path, got=meta, wanted=f"{', '.join(USES)}: bool")
    results = content["results"]
    if tokens is not None:
        _check_tokens(Path(path), set(results), set(tokens))
    return Submission({use: meta[use] for use in USES}, packed.samples(results))


def _check_tokens(path: Path, got: set[str], wanted: set[str]) -> None:
    for left, what in ((wanted - got, "missing"), (got - wanted, "unknown")):
        if left:
            do = "The file must have an entry for each sample of the split, be it an empty one, and for no other."
            raise DataError(f"{len(left)} samples are {what}", where=path, got=", ".join(sorted(left)[:3]), do=do)


def _wrong_field(box: Mapping[str, Any]) -> str | None:
    """The first field of a box that is missing or no value of its kind; None if all are well."""
    for key, (count, _) in _VECTORS.items():
        vector = box.get(key)
        if type(vector) is not list or len(vector) != count or not _NUMBERS.issuperset(map(type, vector)):
            return key

    name, attribute = box["detection_name"], box.get("attribute_name")
    if type(name) is not str or name not in _LABELS:
        return "detection_name"
    if type(attribute) is not str or attribute not in _ATTRIBUTES:
        return "attribute_name"
    if type(box.get("sample_token")) is not str:
        return "sample_token"
    if type(box.get("detection_score")) not in _NUMBERS:
        return "detection_score"
    return None


class _Packed:
    """The boxes of a file as they are read: 13 numbers, a class, an attribute and the sample's number each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers, self._labels, self._attributes, self._owners = (array(code) for code in "dqqq")
        self._tokens: dict[str, int] = {}

    def object(self, pairs: list[tuple[str, Any]]) -> Any:
        """The row of a box, or the object itself if it is none."""
        content = dict(pairs)
        if len(content) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in content if keys.count(key) > 1)
            raise DataError("a sample or a field is there twice", where=self._path, got=twice)
        return self._pack(content) if "detection_name" in content else content

    def _pack(self, box: dict[str, Any]) -> int:
        wrong = _wrong_field(box)
        if wrong is not None:
            self._refuse(box, wrong)

        token = box["sample_token"]
        try:
            for key in _VECTORS:
                self._numbers.extend(box[key])
            self._numbers.append(box["detection_score"])
        except OverflowError as error:
            raise DataError("a number has too many digits", where=self._path, got=f"sample {token}") from error
        self._labels.append(_LABELS[box["detection_name"]])
        self._attributes.append(_ATTRIBUTES[box["attribute_name"]])
        self._owners.append(self._tokens.setdefault(token, len(self._tokens)))
        return len(self._labels) - 1

    def _refuse(self, box: Mapping[str, Any], key: str) -> NoReturn:
        wanted = {
            "detection_name": "one of " + ", ".join(CLASSES),
            "attribute_name": "one of " + ", ".join(ATTRIBUTES) + ', or ""',
            "sample_token": "a text",
            "detection_score": "a number",
        } | {name: f"{count} numbers {what}" for name, (count, what) in _VECTORS.items()}
        what = f"'{key}' of a box of sample '{box.get('sample_token')}'"
        if key not in box:
            raise DataError(f"{what} is missing", where=self._path, wanted=wanted[key])
        raise DataError(f"{what} is invalid", where=self._path, got=repr(box[key]), wanted=wanted[key])

    def samples(self, results: Mapping[str, Any]) -> dict[str, NuscenesDetections]:
        """The boxes of each sample, from the rows that stand for them in `results`."""
        numbers = np.array(self._numbers, np.float64).reshape(-1, _WIDTH)
        labels, attributes, owners = (
            np.array(column, np.int64) for column in (self._labels, self._attributes, self._owners)
        )
        boxes = self._boxes(numbers, owners)
        samples = {}
        for token, rows in results.items():
            if not isinstance(rows, list) or not all(type(row) is int for row in rows):
                raise DataError(f"sample '{token}' is not a list of boxes", where=self._path)
            if len(rows) > MAX_BOXES:
                what, wanted = f"too many boxes in sample '{token}'", f"at most {MAX_BOXES}"
                raise DataError(what, where=self._path, got=len(rows), wanted=wanted)
            index = np.array(rows, np.int64)
            if (owners[index] != self._tokens.get(token, -1)).any():
                raise DataError(f"a box under sample '{token}' has another 'sample_token'", where=self._path)
            samples[token] = NuscenesDetections(boxes[index], numbers[index, 12], labels[index], attributes[index])
        return samples

    def _boxes(self, numbers: np.ndarray, owners: np.ndarray) -> np.ndarray:
        good = np.isfinite(numbers).all(axis=1) & (numbers[:, 3:6] > 0).all(axis=1) & numbers[:, 6:10].any(axis=1)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            what = f"a box of sample '{list(self._tokens)[owners[row]]}' has no extent or no direction"
            raise DataError(what, where=self._path, got=f"size {numbers[row, 3:6]}, rotation {numbers[row, 6:10]}")
        table = torch.from_numpy(numbers)
        return from_columns(NuscenesBoxes(table[:, :3], table[:, 3:6], table[:, 6:10], table[:, 10:12]))
