"""Small labelled volumes in the layouts that the data sets have, for tests: ellipsoids with noise, any orientation.

The anatomy is made in RAS and then turned, so a case written as `LPS` or `SAR` shows the same thing at the same place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

Triple = tuple[int, int, int]
Spacing = tuple[float, float, float]
CLASSES = ("background", "anterior", "posterior")


def blobs(
    shape: Triple = (20, 24, 16), classes: int = 3, channels: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """An image (channels, i, j, k) float32 and its label (i, j, k) uint8: one ellipsoid per class along j, in RAS."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    label = np.zeros(shape, dtype=np.uint8)
    for c in range(1, classes):
        centre = np.array(shape) * (0.5, c / classes, 0.5) + rng.uniform(-1, 1, 3)
        radius = np.maximum(np.array(shape) * (0.3, 0.4 / classes, 0.3) * rng.uniform(0.9, 1.1, 3), 1.0)
        label[(((index - centre) / radius) ** 2).sum(axis=-1) <= 1] = c
    noise = rng.normal(0, 10, (channels, *shape))
    weights = 1 + np.arange(channels).reshape(-1, 1, 1, 1)
    return (100 + 50.0 * weights * label + noise).astype(np.float32), label


def ras_affine(spacing_mm: Spacing = (1, 1, 1), origin_mm: Spacing = (-10, 5, 20), tilt_deg: float = 0.0) -> np.ndarray:
    """(4, 4) voxel -> RAS mm; `tilt_deg` turns about x, as an oblique acquisition."""
    c, s = np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * spacing_mm
    affine[:3, 3] = origin_mm
    return affine


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray, orientation: str = "RAS") -> Path:
    """Writes (i, j, k) or (i, j, k, channels), given in RAS, axes turned to `orientation`; makes the folder."""
    image = nib.Nifti1Image(array, affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(orientation))
    image = image.as_reoriented(turn)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_case(
    image_path: Path,
    label_path: Path | None,
    *,
    seed: int = 0,
    shape: Triple = (20, 24, 16),
    classes: int = 3,
    channels: int = 1,
    spacing_mm: Spacing = (1, 1, 1),
    orientation: str = "RAS",
    tilt_deg: float = 0.0,
) -> None:
    """Writes one case; several channels become a 4D file (i, j, k, channels)."""
    image, label = blobs(shape, classes, channels, seed)
    affine = ras_affine(spacing_mm, tilt_deg=tilt_deg)
    write_nifti(image_path, image[0] if channels == 1 else np.moveaxis(image, 0, -1), affine, orientation)
    if label_path is not None:
        write_nifti(label_path, label, affine, orientation)


def write_msd(
    root: Path,
    cases: int = 6,
    *,
    tests: int = 0,
    class_names: Sequence[str] = CLASSES,
    channel_names: Sequence[str] = ("MRI",),
    shape: Triple = (20, 24, 16),
    spacing_mm: Spacing = (1, 1, 1),
    orientation: str = "RAS",
) -> Path:
    """An MSD task as it is published (the typo `relase`, tests as strings, `._` files); returns the Task folder."""
    task = root / "Task04_Blobs"
    names = [f"blobs_{n:03d}" for n in range(1, cases + tests + 1)]
    for n, name in enumerate(names):
        folder, labelled = ("imagesTr", True) if n < cases else ("imagesTs", False)
        write_case(
            task / folder / f"{name}.nii.gz",
            task / "labelsTr" / f"{name}.nii.gz" if labelled else None,
            seed=n,
            shape=shape,
            classes=len(class_names),
            channels=len(channel_names),
            spacing_mm=spacing_mm,
            orientation=orientation,
        )
        (task / folder / f"._{name}.nii.gz").write_bytes(b"\0\5\x16\7 AppleDouble")
    write_json(
        task / "dataset.json",
        {
            "name": "Blobs",
            "relase": "1.0 04/05/2018",
            "tensorImageSize": "3D" if len(channel_names) == 1 else "4D",
            "modality": {str(c): name for c, name in enumerate(channel_names)},
            "labels": {str(c): name for c, name in enumerate(class_names)},
            "numTraining": cases,
            "numTest": tests,
            "training": [
                {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names[:cases]
            ],
            "test": [f"./imagesTs/{name}.nii.gz" for name in names[cases:]],
        },
    )
    return task


def write_btcv_raw(root: Path, numbers: Iterable[int] = (1, 2, 21, 35, 36), tests: Iterable[int] = (61,)) -> Path:
    """BTCV as Synapse hands it out; returns the RawData folder."""
    raw = root / "RawData"
    for n in numbers:
        write_case(
            raw / f"Training/img/img{n:04d}.nii.gz",
            raw / f"Training/label/label{n:04d}.nii.gz",
            seed=n,
            shape=(12, 42, 10),
            classes=14,
        )
    for n in tests:
        write_case(raw / f"Testing/img/img{n:04d}.nii.gz", None, seed=n, shape=(12, 42, 10), classes=14)
    return raw


def write_btcv_msd(root: Path, train: Iterable[int] = (1, 2, 21), validation: Iterable[int] = (35, 36)) -> Path:
    """BTCV renamed as MONAI's tutorials want it, with `dataset_0.json` and its false `numTraining`; returns `root`."""
    listed = {}
    for key, numbers in (("training", train), ("validation", validation)):
        listed[key] = [
            {"image": f"imagesTr/img{n:04d}.nii.gz", "label": f"labelsTr/label{n:04d}.nii.gz"} for n in numbers
        ]
        for n, paths in zip(numbers, listed[key], strict=True):
            write_case(root / paths["image"], root / paths["label"], seed=n, shape=(12, 42, 10), classes=14)
    organs = {str(c): "background" if c == 0 else f"organ{c}" for c in range(14)}
    write_json(
        root / "dataset_0.json",
        {"labels": organs, "modality": {"0": "CT"}, "numTraining": 80, "numTest": 20, "test": [], **listed},
    )
    return root


def write_folder(root: Path, cases: int = 4, channel_names: Sequence[str] = ("MR",), **document: object) -> Path:
    """Own data: `images/NAME.nii.gz`, or `images/NAME/CHANNEL.nii.gz` if there are several; returns `root`."""
    for n in range(cases):
        name = f"case{n}"
        image, label = blobs(channels=len(channel_names), seed=n)
        for channel, array in zip(channel_names, image, strict=True):
            path = f"images/{name}.nii.gz" if len(channel_names) == 1 else f"images/{name}/{channel}.nii.gz"
            write_nifti(root / path, array, ras_affine())
        write_nifti(root / f"labels/{name}.nii.gz", label, ras_affine())
    write_json(root / "dataset.json", {"classes": list(CLASSES), "channels": list(channel_names), **document})
    return root


def write_json(path: Path, value: object) -> None:
    """Plain JSON, as a person's editor would write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
