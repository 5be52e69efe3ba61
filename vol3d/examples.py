"""Data to try things on without a download: scans that come with the package, and synthetic data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vol3d import catalog
from vol3d.errors import UsageError, Vol3dError
from vol3d.model import no_progress
from vol3d.terminal import Progress


def samples() -> Path:
    """Folder of twelve MR scans of the hippocampus with labels, which come with the package, in MSD's layout.

    Medical Segmentation Decathlon, task 4, CC-BY-SA 4.0; no shipped model was trained on them.

    Raises:
        Vol3dError: they are not installed.
    """
    folder: Path = catalog.load(catalog.SAMPLES)
    if not folder.is_dir():
        raise Vol3dError("the sample scans are not installed", where=folder, do="Install vol3d again.")
    return folder


def generate(
    kind: str,
    out: str | Path,
    scenes: int | None = None,
    *,
    seed: int = 0,
    streets: str | None = None,
    scanner: str | None = None,
    seconds: float | None = None,
    sweeps: int | None = None,
    workers: int | None = 0,
    progress: Progress = no_progress,
) -> Path:
    """Writes a synthetic data set and returns its folder; scenes that are there already are kept.

    Args:
        kind: `rooms` in ScanNet's format, `frames` of depth cameras in SUN RGB-D's, `drives` in nuScenes', `kitti`.
        out: the folder.
        scenes: how many; None is 200 rooms, 400 frames, 20 drives or 200 frames of `kitti`.
        seed: the same seed gives the same scenes.
        streets: of drives, `simple` or `realistic`.
        scanner: of realistic drives and of `kitti`, `hdl-64e`, `vlp-16` ...
        seconds: how long a drive lasts, 1 to 15, with a keyframe each half second.
        sweeps: of drives: how many lead to each keyframe, 1 to 10.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each scene.

    Raises:
        UsageError: no such kind, or an option that it does not have.
        Vol3dError: the folder holds something else, or cannot be written.
    """
    from vol3d.output import require_output

    if kind not in catalog.GENERATORS:
        wanted = ", ".join(catalog.GENERATORS)
        raise UsageError("nothing of this kind can be generated", where="KIND", got=kind, wanted=wanted)
    generator = catalog.GENERATORS[kind]
    words: dict[str, Any] = {"streets": streets, "scanner": scanner, "seconds": seconds, "sweeps": sweeps}
    options = {name: value for name, value in words.items() if value is not None}
    for name in options.keys() - set(generator.options):
        raise UsageError(f"{kind} have no such option", where=f"--{name}", got=options[name])
    folder = require_output(out)  # the generator makes it, once it has refused what it cannot make
    catalog.load(generator.target)(folder, scenes or generator.scenes, seed, workers, progress, **options)
    return folder
