"""Every fault of a data set in one run: what listing showed, what each case shows, what only all of them show."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from medical.datasets.cases import UNUSED, Case, DataSplit
from medical.datasets.label_names import by_name
from medical.datasets.lattice import on_lattice
from medical.datasets.pairs import (
    TOLERANCE,
    channel_complaint,
    grid_complaint,
    label_complaint,
    label_counts,
    read_image,
)
from medical.sides import sided
from vol3d.dataset_tools.fault import Fault, Severity, fault_of, listed
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import Vol3dError
from vol3d.scans.read import read_labels
from vol3d.scans.volumes.gzipped import open_checked
from vol3d.scans.volumes.nifti_header import read_header
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import Progress

WILD = 3.0  # a spacing this many times above or below the median deserves a look (nnU-Net's anisotropy threshold)


@dataclass
class Findings:
    """What one case's files showed; small enough to come back from another process."""

    case: Case
    faults: list[Fault] = field(default_factory=list)
    image_hash: str | None = None
    label_hash: str | None = None
    spacing_mm: tuple[float, ...] | None = None
    occurring: frozenset[int] = frozenset()

    def add(
        self, severity: Severity, what: str, do: str, *, code: str, numbers: Mapping[str, float] | None = None
    ) -> None:
        """One more fault."""
        self.faults.append(Fault(self.case.name, severity, what, do, code=code, numbers=numbers or {}))


def check(split: DataSplit, workers: int | None = None, progress: Progress | None = None) -> list[Fault]:
    """All faults of a data set, errors first, then by case; empty for a clean one. Never stops at the first.

    Args:
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each case.

    Raises:
        Vol3dError: a worker process was killed.
    """
    cases = list({case: None for case in (*split.train, *split.validation, *split.test) if _all_exist(case)})
    inspect = partial(inspect_case, class_names=split.class_names, channel_names=split.channel_names)
    findings = over_cases(inspect, cases, workers, progress)
    faults = [*split.listing, *(fault for found in findings for fault in found.faults)]
    faults += [*_leaks(split), *_twins(split, findings), *_wild_spacings(findings), *_absent_classes(split, findings)]
    faults += _sided_classes(split)
    return sorted(faults, key=lambda fault: (fault.severity, fault.case))


def inspect_case(case: Case, class_names: Sequence[str], channel_names: Sequence[str]) -> Findings:
    """The faults of one case's files; raises nothing."""
    found = Findings(case)
    try:
        image = _image(case, found)
        if image is not None:
            _judge_image(image, channel_names, found)
        if case.label is not None:
            _judge_label(case.label, case.ignore, image, class_names, found)
    except MemoryError:
        do = "Use fewer workers, or crop or resample the case."
        found.add("error", "the volume does not fit into memory", do, code="out-of-memory")
    except Exception as error:  # a reader's own bug must not hide the faults of all other cases
        what = f"reading failed: {type(error).__name__}: {error}"
        found.add("error", what, "Convert the file to NIfTI, and report this with the file.", code="reader-failed")
    return found


def _all_exist(case: Case) -> bool:
    """Missing files are known from the listing."""
    return all(path.exists() for path in (*case.images, case.label) if path is not None)


def _image(case: Case, found: Findings) -> Volume | None:
    """The image; one with NaN is read all the same, after the complaint, for the sake of its other faults."""
    try:
        return read_image(case.images)
    except Vol3dError as error:
        _unreadable(error, found)
    try:
        return read_image(case.images, fill_nonfinite=0.0)
    except Vol3dError:
        return None


def _unreadable(error: Vol3dError, found: Findings) -> None:
    found.faults.append(fault_of(found.case.name, error))


def _judge_image(image: Volume, channel_names: Sequence[str], found: Findings) -> None:
    wrong = channel_complaint(image, channel_names)
    if wrong:
        found.add("error", wrong.what, wrong.do, code=wrong.code)
    for number, channel in enumerate(image.array):
        if channel.size and channel.min() == channel.max():
            name = channel_names[number] if number < len(channel_names) else str(number)
            value = float(channel.flat[0])
            what, numbers = f"channel {name} is constant, {value:g} everywhere", {"channel": number, "value": value}
            found.add("error", what, "Export the image again.", code="constant-channel", numbers=numbers)
    for note in image.notes:
        do = "Look at the case beside its label in a viewer."
        found.add("warning", str(note), do, code=note.code, numbers=note.numbers)
    found.image_hash = _hash(image.array)
    order = nibabel.io_orientation(image.affine)[:, 0].argsort()
    found.spacing_mm = tuple(image.grid.spacing_mm[axis] for axis in order)


def _judge_label(
    path: Path, ignore: int | None, image: Volume | None, class_names: Sequence[str], found: Findings
) -> None:
    try:
        label = by_name(read_labels(path), class_names, ignore)
    except Vol3dError as error:
        return _unreadable(error, found)
    label = label if image is None else on_lattice(label, image.grid, TOLERANCE)
    wrong = grid_complaint(image.grid, label.grid, "label") if image is not None else None
    for complaint in (wrong, label_complaint(label.array[0], class_names, ignore)):
        if complaint:
            found.add("error", complaint.what, complaint.do, code=complaint.code)
    for note in label.notes:
        do = "Look at the case beside its label in a viewer."
        found.add("warning", str(note), do, code=note.code, numbers=note.numbers)
    stored = _storage(path)
    if stored:
        do = "Nothing: the values are whole. Store labels as integers with slope 1 for tools that are less careful."
        found.add("warning", f"the label is stored {stored}", do, code="label-not-plain")
    found.occurring = frozenset(label_counts(label.array[0])) - {ignore}
    if found.occurring <= {0}:
        do = "Leave the case out if a structure should be there."
        found.add("warning", "the label has no foreground", do, code="label-without-foreground")
    else:
        found.label_hash = _hash(label.array)


def _storage(path: Path) -> str:
    """How a NIfTI label is stored if not as plain integers."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return ""
    with open_checked(path) as stream:
        header = read_header(stream, path)
    kinds = [f"as {header.dtype.name}"] if header.dtype.kind == "f" else []
    if (header.slope, header.intercept) != (1.0, 0.0):
        kinds.append(f"with slope {header.slope:g} and intercept {header.intercept:g}")
    return " ".join(kinds)


def _hash(array: np.ndarray) -> str:
    """Of the voxels, not of the file: a copy compressed anew is still a copy."""
    digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _leaks(split: DataSplit) -> Iterator[Fault]:
    """Cases that both train and validate."""
    do = "Keep the case in one part only: a score on training cases is meaningless."
    files = {path for case in split.train for path in case.images}
    for case in split.validation:
        if case.name in {other.name for other in split.train} or files & set(case.images):
            yield Fault(
                case.name, "error", "the case is both in training and in validation", do, code="case-in-two-parts"
            )


def _twins(split: DataSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    """Different cases with the same voxels."""
    part = {case.name: part for part in ("train", "validation", "test") for case in getattr(split, part)}
    for names in _same([(found.image_hash, found.case.name) for found in findings]):
        parts = sorted({part[name] for name in names})
        what = f"the same image as {listed(names[1:])}" + (f", in {' and '.join(parts)}" if len(parts) > 1 else "")
        severity: Severity = "error" if len(parts) > 1 else "warning"
        yield Fault(names[0], severity, what, "Keep one of them.", code="same-image-twice")
    for names in _same([(found.label_hash, found.case.name) for found in findings]):
        what, do = f"the same label as {listed(names[1:])}", "Check that each image has its own label."
        yield Fault(names[0], "warning", what, do, code="same-label-twice")


def _same(hashes: Sequence[tuple[str | None, str]]) -> list[list[str]]:
    """Names of cases that share a hash, in groups of two and more."""
    groups = defaultdict(list)
    for value, name in hashes:
        if value is not None:
            groups[value].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _wild_spacings(findings: Sequence[Findings]) -> Iterator[Fault]:
    known = [(found.case.name, np.array(found.spacing_mm)) for found in findings if found.spacing_mm is not None]
    if len(known) < 3:
        return
    median = np.median([spacing for _, spacing in known], axis=0)
    for name, spacing in known:
        if max((spacing / median).max(), (median / spacing).max()) > WILD:
            what = f"spacing {_mm(spacing)} mm (right, front, head), where the median is {_mm(median)}"
            do = "Check the header; a wrong unit or slice distance looks like this."
            yield Fault(name, "warning", what, do, code="unusual-spacing")


def _absent_classes(split: DataSplit, findings: Sequence[Findings]) -> Iterator[Fault]:
    train = {case.name for case in split.train}
    occurring = {value for found in findings for value in found.occurring if found.case.name in train}
    for value, name in enumerate(split.class_names):
        if value > 0 and value not in occurring and train and not name.startswith(UNUSED):
            what = f"the class {value} ({name}) occurs in no training case"
            do = "Check the labels' numbers, or remove the class."
            yield Fault(split.name, "warning", what, do, code="absent-class", numbers={"label": value})


def _sided_classes(split: DataSplit) -> Iterator[Fault]:
    """Classes that mirroring exchanges."""
    names = sided(split.class_names)
    if names:
        what = f"the classes {', '.join(names)} differ in their side: mirroring from left to right exchanges them"
        do = "Train with augment.flip of 0 along that axis (the first with orientation RAS), and predict without it."
        yield Fault(split.name, "warning", what, do, code="sided-classes", numbers={"classes": len(names)})


def _mm(spacing: np.ndarray) -> str:
    return " x ".join(f"{length:.3g}" for length in spacing)
