"""One volume and the masks on its grid, all turned to RAS order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import read_json
from vol3d.scans.paths import is_dicom, scan_stem
from vol3d.scans.read import is_dicom_source, read_labels, read_volume
from vol3d.scans.results.own import is_own, is_own_map
from vol3d.scans.results.palette import class_colours
from vol3d.scans.results.record import read_record
from vol3d.scans.volumes.appearance import grey_window, looks_like_labels
from vol3d.scans.volumes.orientation import reorient
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume
from vol3d.view.load.belongs import Origin, check_scan, find_scan, note_of_other
from vol3d.view.scene import MaskLayer, ViewScene, VolumeLayer


def load_volume(paths: Sequence[Path], series: str | None = None, scan: Path | None = None) -> ViewScene:
    """See `vol3d.view.load.read.load_view`."""
    images, masks = _told_apart(paths, scan, series)
    notes = _notes_of_scan(masks, images, scan)
    if series is not None and not any(map(is_dicom_source, images)):
        raise UsageError("only DICOM has series to choose from", where="--series", got=series)
    image = next(iter(images.values()), None)
    labels = {path: _read_mask(path, None if image is None else image.grid) for path in masks}
    if image is None:
        first = labels[masks[0]]
        image = Volume(first.labels[None].astype(np.float32), first.grid, masks[0])

    notes += [str(note) for note in image.notes]
    if len(image.array) > 1:
        notes.append(f"the first of {len(image.array)} channels is shown")
        image = image.with_array(image.array[:1])
    layer = _layer(reorient(image, "RAS"), labels)
    title = scan_stem(next(iter(images), None) or masks[0])
    sources = tuple(dict.fromkeys((*paths, *images)))
    return ViewScene(title, volume=layer, notes=tuple(notes), sources=sources)


def _told_apart(paths: Sequence[Path], scan: Path | None, series: str | None) -> tuple[dict[Path, Volume], list[Path]]:
    """The image by its path, if there is one, and the paths of the masks."""
    images = {} if scan is None else {scan: _read_image(scan, series)}
    masks: list[Path] = []
    for path in paths:
        is_mask = _is_dicom_seg(path) or (is_own(path) and not is_own_map(path))
        volume = None if is_mask else _read_image(path, series)
        if volume is None or looks_like_labels(volume.array[0]):
            masks.append(path)
        else:
            images[path] = volume
    if len(images) > 1:
        names = list(images)
        do = "Look at one image at a time."
        raise UsageError("two images", where=names[1], got=f"{names[0].name} and {names[1].name}", do=do)
    return images, masks


def _read_image(path: Path, series: str | None) -> Volume:
    return read_volume(path, series=series if is_dicom_source(path) else None)


def _notes_of_scan(masks: Sequence[Path], images: dict[Path, Volume], scan: Path | None) -> list[str]:
    """Checks that the masks are of the image; of none given, adds to `images` the one that a mask names."""
    notes: list[str] = []
    for mask in masks:
        origin = _origin(mask)
        if origin is None:
            continue
        notes += note_of_other(mask, origin, scan)
        if scan is None and images:
            check_scan(mask, origin, list(images), scan_stem)
        elif not images:
            try:
                found = find_scan(mask, origin, lambda way: True)
                images[found] = _read_image(found, origin.series)
            except UsageError as missing:  # a mask alone is worth a look
                notes.append(str(missing))
    return notes


def _origin(mask: Path) -> Origin | None:
    record, about = read_record(mask)
    if record is None or _is_dicom_seg(mask):
        return None
    name, way = (value if isinstance(value, str) else None for value in (about.get("source"), about.get("source_path")))
    return Origin(name, way, record)


def _layer(image: Volume, labels: dict[Path, Segmentation]) -> VolumeLayer:
    names = _mask_names(list(labels))
    turned = [_on_grid(path, mask, image) for path, mask in labels.items()]
    most = max((len(one.class_names) - 1 for one in turned), default=0)
    colours = class_colours(tuple(names), most)

    masks = []
    for name, one in zip(names, turned, strict=True):
        present = [int(label) for label in np.unique(one.labels) if label]
        masks.append(MaskLayer(name, one, {label: colours[name, label] for label in present}))
    return VolumeLayer((image.source or Path("volume")).name, image, grey_window(image.array[0]), tuple(masks))


def _mask_names(paths: Sequence[Path]) -> list[str]:
    """`mask` for one alone; else the stems of the files, or of their folders where the stems are one; with a number
    where a name comes again."""
    stems = [scan_stem(path) for path in paths]
    if len(stems) == 1:
        return ["mask"]
    if len(set(stems)) == 1:
        stems = [path.resolve().parent.name or stem for path, stem in zip(paths, stems, strict=True)]
    earlier = [stems[:n].count(stem) for n, stem in enumerate(stems)]
    return [f"{stem} {count + 1}" if count else stem for stem, count in zip(stems, earlier, strict=True)]


def _on_grid(path: Path, mask: Segmentation, image: Volume) -> Segmentation:
    turned = reorient(Volume(mask.labels[None], mask.grid, path), "RAS")
    if not turned.grid.same_place(image.grid):
        raise DataError(
            "the mask is not on the grid of the image", where=path,
            got=f"{turned.grid.shape} at {_place(turned)}", wanted=f"{image.grid.shape} at {_place(image)}",
        )  # fmt: skip
    return Segmentation(turned.array[0], image.grid, mask.class_names, mask.source)


def _place(volume: Volume) -> str:
    spacing = " x ".join(f"{side:.3g}" for side in volume.grid.spacing_mm)
    return f"({', '.join(f'{value:.1f}' for value in volume.affine[:3, 3])}) mm, spacing {spacing}"


def _is_dicom_seg(path: Path) -> bool:
    if path.is_dir() or not is_dicom(path):
        return False
    from vol3d.scans.dicom.seg import is_dicom_seg

    return is_dicom_seg(path)


def _read_mask(path: Path, grid: Grid | None) -> Segmentation:
    volume = read_labels(path, grid)
    known = volume.label_names or _recorded_names(path) or _listed_names(path)
    top = int(volume.array.max(initial=0))
    names = ("background", *(known.get(label, f"label {label}") for label in range(1, max(top, *known, 0) + 1)))
    return Segmentation(volume.array[0], volume.grid, names, path)


def _recorded_names(path: Path) -> dict[int, str]:
    """Label -> class name from the record of a mask that vol3d wrote."""
    names = read_record(path)[1].get("class_names") if is_own(path) else None
    return dict(enumerate(map(str, names))) if isinstance(names, list) else {}


def _listed_names(path: Path) -> dict[int, str]:
    """Label -> class name from the `dataset.json` of MSD and nnU-Net in the folder above, if there is one."""
    listing = path.resolve().parent.parent / "dataset.json"
    try:
        value = read_json(listing) if listing.is_file() else {}
        named = value.get("labels") if isinstance(value, dict) else None
        pairs = named.items() if isinstance(named, dict) else ()
        both = [(key, name) if isinstance(name, str) else (name, key) for key, name in pairs]
        return {int(label): str(name) for label, name in both if int(label) > 0}
    except (Vol3dError, TypeError, ValueError):
        return {}
