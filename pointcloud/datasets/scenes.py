"""What a labelled scan and a data set of them are to the rest of the package.

Listing a data set reads indices and folder entries only; points are read where they are needed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from vol3d.dataset_tools.fault import Fault, listed, refuse_errors
from vol3d.dataset_tools.stamp import stamp
from vol3d.engine.trained_on import key_of
from vol3d.errors import DataError
from vol3d.files import sha256
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress


@dataclass(frozen=True, eq=False)
class Scene:
    """One scan with its annotated boxes, both in the same frame.

    Args:
        name: unique in its data set.
        cloud: the points, all of them.
        truth: annotated boxes with scores 1; without boxes for a scan that has none.
    """

    name: str
    cloud: PointCloud
    truth: Detections


class SceneReader(Protocol):
    """Where one scene comes from. Reading it gives the same arrays each time; it can be sent to another process."""

    @property
    def name(self) -> str:
        """Unique in its data set; names the files written for it."""
        ...

    def read(self) -> Scene:
        """The scene, read now.

        Raises:
            DataError: a file is missing or damaged, or an annotation is invalid.
        """
        ...

    def labels(self) -> np.ndarray:
        """Labels (K,) int64 of the boxes that `read` would give; without reading the points wherever that is possible.

        Raises:
            DataError: a file is missing or damaged.
        """
        ...

    def fingerprint(self, quick: bool = False) -> str:
        """Another text whenever `read` would give another scene: `data prepare` makes the scene again then.

        Args:
            quick: use the files' sizes and modification times instead of their content.

        Raises:
            DataError: a file is missing.
        """
        ...


@runtime_checkable
class NamesOthers(Protocol):
    """A reader of scenes in which objects of other kinds than the classes may be annotated."""

    @property
    def usual_others(self) -> Collection[str]:
        """Names that are known to the data set and are no class, such as KITTI's Van: nothing to wonder about."""
        ...

    def other_names(self) -> Sequence[str]:
        """The name of each annotated object that is of no class, as the file has it.

        Raises:
            DataError: a file is missing or damaged.
        """
        ...


@runtime_checkable
class RespellsNames(Protocol):
    """A reader of scenes whose objects may be called as the classes are but for case and what joins words."""

    def respelled_names(self) -> Sequence[str]:
        """`CAR for Car` for each object whose name is written otherwise than its class's.

        Raises:
            DataError: a file is missing or damaged.
        """
        ...


@runtime_checkable
class JudgesLabels(Protocol):
    """A reader that knows more about its annotations than boxes show."""

    def label_faults(self) -> Iterator[Fault]:
        """What is wrong with them beyond what every data set is checked for.

        Raises:
            DataError: a file is missing or damaged.
        """
        ...


@runtime_checkable
class HasExtras(Protocol):
    """A reader of scenes of which a benchmark needs more than points and boxes."""

    def extras(self) -> dict[str, Any]:
        """What it needs, JSON-ready; kept when the scene is prepared."""
        ...


@runtime_checkable
class HasKeyPoints(Protocol):
    """A reader whose settings decide which points it gives, sweeps or a camera's view, of one and the same scan."""

    def key_points(self) -> np.ndarray:
        """Points (N, 3) that are the scan's, however the reader is set.

        Raises:
            DataError: a file is missing or damaged.
        """
        ...


ABSENT_LABELS = "absent-labels"
"""Code of the fault of a data set whose labels are not there at all."""
Part = Literal["train", "validation", "labelled"]
_WORDS: dict[Part, str] = {"train": "training", "validation": "validation", "labelled": "labelled"}
_NEEDED: tuple[Part, ...] = ("train", "validation")


@dataclass(frozen=True)
class SceneSplit:
    """The scenes of a data set as one run uses them.

    Args:
        name: the data set's name.
        class_names: `class_names[label]`; there is no background.
        train, validation: labelled scenes; the two share none.
        test: scenes without labels.
        listing: faults found without reading a scene; `check` reports them with its own.
        write_prepared: writes into a folder what `vol3d data prepare` makes of this data set; None for arrays of all
            scenes, as of most.
        synthetic: whether a generator made the scenes.
        max_intensity: where the data set's scale of intensities ends; None: it has no known scale.
    """

    name: str
    class_names: tuple[str, ...]
    train: tuple[SceneReader, ...]
    validation: tuple[SceneReader, ...]
    test: tuple[SceneReader, ...] = ()
    listing: tuple[Fault, ...] = ()
    write_prepared: Callable[[Path], None] | None = None
    synthetic: bool = False
    max_intensity: float | None = None

    @property
    def labelled(self) -> tuple[SceneReader, ...]:
        """Training and validation scenes: what to evaluate on where a model has seen none of them."""
        return self.train + self.validation

    def only_test(self) -> SceneSplit:
        """The test scenes as those of validation, without the faults of the labelled ones.

        Raises:
            DataError: there is no test scene.
        """
        if not self.test:
            do = "Unpack the archive of the benchmark's test set here, or choose another split."
            raise DataError("there are no test scenes", where=self.name, do=do)
        labelled = {one.name for one in self.labelled}
        mine = [
            fault
            for fault in self.listing
            if fault.code != ABSENT_LABELS
            and fault.case not in labelled
            and not any(name.startswith(f"{fault.case}_") for name in labelled)  # a drive of Argoverse 2
        ]
        return replace(self, train=(), validation=self.test, test=(), listing=tuple(mine))

    def require(self, *parts: Part) -> SceneSplit:
        """This split, if it has scenes in all of these parts; in train and validation where none is named.

        Raises:
            DataError: listing showed an error, or one of the parts is empty.
        """
        refuse_errors(self.listing, self.name)
        for part in parts or _NEEDED:
            if not getattr(self, part):
                counts = [f"{len(getattr(self, one))} {_WORDS[one]} scenes" for one in _NEEDED]
                do = "Run `vol3d data check` on it."
                raise DataError(f"no {_WORDS[part]} scenes", where=self.name, got=", ".join(counts), do=do)
        return self

    def require_boxes(self, part: Part, class_names: Sequence[str] | None = None) -> SceneSplit:
        """This split, if a scene of the part has an annotated box of these classes, by default of any; scenes are read
        until one has.

        Raises:
            DataError: none has; the message lists what is annotated instead.
        """
        scenes: tuple[SceneReader, ...] = getattr(self, part)
        names = self.class_names if class_names is None else class_names
        wanted_labels = [label for label, name in enumerate(self.class_names) if name in names]
        if scenes and not any(np.isin(scene.labels(), wanted_labels).any() for scene in scenes):
            others = Counter(name for scene in scenes if isinstance(scene, NamesOthers) for name in scene.other_names())
            others += annotated_names(scenes, self.class_names)
            got, wanted = counted(others) or "no object at all", f"objects of {', '.join(names)}"
            what = f"no {_WORDS[part]} scene has a box of any class"
            do = "Check the names in the label files against the classes."
            raise DataError(what, where=self.name, got=got, wanted=wanted, do=do)
        return self


def annotated_names(scenes: Iterable[SceneReader], class_names: Sequence[str]) -> Counter[str]:
    """How many annotated objects there are of each class, by name."""
    return Counter(class_names[label] for scene in scenes for label in scene.labels().tolist())


def unusual_names(scenes: Iterable[SceneReader]) -> Counter[str]:
    """How many annotated objects are of no class, by name, but for those that the data set is known to have."""
    named = (scene for scene in scenes if isinstance(scene, NamesOthers))
    return Counter(name for scene in named for name in scene.other_names() if name not in scene.usual_others)


def names_noted(scenes: Sequence[SceneReader]) -> list[str]:
    """Sentences on the objects of `unusual_names`, and on names in another spelling; none where there are none."""
    others = unusual_names(scenes)
    noted = [f"{others.total():,} objects of no class are left out: {counted(others)}"] if others else []
    respelled = Counter(name for one in scenes if isinstance(one, RespellsNames) for name in one.respelled_names())
    return [*noted, *([names_respelled(respelled)] if respelled else [])]


def names_respelled(names: Counter[str]) -> str:
    """What `respelled_names` gave, counted.

    >>> names_respelled(Counter({"CAR for Car": 3}))
    '3 objects have the name of a class in another spelling and were taken for it: CAR for Car (3)'
    """
    what = "objects have the name of a class in another spelling and were taken for it"
    return f"{names.total():,} {what}: {counted(names)}"


def counted(names: Mapping[str, int]) -> str:
    """What was counted, the most frequent first.

    >>> counted({"Van": 2, "person": 30})
    'person (30), Van (2)'
    """
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return listed((f"{name[:40]} ({count})" for name, count in ranked), 8)


def repeated(parts: Mapping[str, Sequence[SceneReader]]) -> Iterator[Fault]:
    """Scenes of one name, within a part or in two."""
    found = defaultdict(list)
    for part, readers in parts.items():
        for reader in readers:
            found[reader.name].append(part)
    for name, where in found.items():
        if len(where) > 1:
            both = " and ".join(dict.fromkeys(where))
            what = f"the scene is in {both}" if len(set(where)) > 1 else f"the scene is in {both} {len(where)} times"
            do, numbers = "List it once: a score on training scenes is meaningless.", {"times": len(where)}
            yield Fault(name, "error", what, do, code="duplicate-scene", numbers=numbers)


def fingerprint_of(files: Iterable[Path], facts: Any = None, quick: bool = False) -> str:
    """Hash of the files' content and of `facts` (JSON-ready), whatever else a scene was made from.

    Args:
        quick: name, size and time of change stand for the content; a copy of a data set is another one then, unless it
            keeps the times.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in files:
        try:
            digest.update((f"{stamp(path)};" if quick else sha256(path)).encode())
        except OSError as error:
            raise DataError(f"cannot read the file ({error.strerror})", where=path) from error
    return digest.hexdigest()


def scan_key(reader: SceneReader) -> str:
    """What the scan of a scene is known by, see `key_of`, whatever it is called and however it is annotated."""
    return key_of(reader.key_points() if isinstance(reader, HasKeyPoints) else reader.read().cloud.xyz)


def scan_keys(scenes: Sequence[SceneReader], progress: Progress) -> tuple[str, ...]:
    """`scan_key` of each."""
    keys = []
    for done, reader in enumerate(scenes):
        progress(done, len(scenes), reader.name)
        keys.append(scan_key(reader))
    return tuple(keys)


def chance_of(name: str) -> float:
    """A number in [0, 1) that depends on the name alone: it decides a scene's part where none is given."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2.0**64


def annotated(boxes: ArrayLike, labels: ArrayLike, class_names: tuple[str, ...], frame: str) -> Detections:
    """Annotated boxes (K, 7 or 9), or an empty list, with their labels (K,) as detections of score 1."""
    table = np.asarray(boxes, np.float32)
    table = table if table.size else np.zeros((0, 7), np.float32)
    return Detections(table, np.ones(len(table), np.float32), np.asarray(labels, np.int64), class_names, frame)
