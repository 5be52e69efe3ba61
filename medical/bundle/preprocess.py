"""A bundle's preprocessing: from a scan as it was read to what the network sees, with the way back.

MONAI's own transforms change intensities, turn, crop and pad; resampling is done here along one axis after the other,
which gives `Spacingd`'s values in a fraction of its memory. Each transform is one that the tables below know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medical.bundle.spatial import Moved, Place, Resampled, Resized, Step
from medical.bundle.transforms import (
    MONAI,
    Keyed,
    array_name,
    bare,
    call,
    check_dtype,
    flattened,
    keys_of,
    meta,
    monai_transform,
    one_of,
    plain,
    plain_words,
)
from medical.bundle.values import Arguments, Component
from vol3d.errors import DataError


@dataclass(frozen=True, eq=False)
class Image:
    """A volume on its way to the network.

    Args:
        values: (channels, i, j, k) float32.
        affine: (4, 4) float64, voxel index -> RAS mm.
        steps: what was done to the scan's grid.
    """

    values: Tensor
    affine: np.ndarray
    steps: tuple[Step, ...] = ()

    @property
    def place(self) -> Place:
        """Its grid."""
        i, j, k = self.values.shape[1:]
        return Place((i, j, k), self.affine)


Images = dict[str, Image]
Action = Callable[[Images], None]
"""One transform; it replaces the images of its keys."""
Change = Callable[[Image], Image]


@dataclass(frozen=True)
class Preprocessing:
    """All of it.

    Args:
        loaded: the keys that files are read for, in the order of the model's channels.
        actions: one a transform.
    """

    loaded: tuple[str, ...]
    actions: tuple[tuple[str, Action], ...]

    def run(self, values: np.ndarray, affine: np.ndarray, source: Any) -> Images:
        """A scan (channels, i, j, k) as the network sees it, by key.

        Raises:
            DataError: the transforms cannot be applied to this scan, or leave nothing of it.
        """
        whole = torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
        parts = [whole] if len(self.loaded) == 1 else list(whole.split(1))
        images = {key: Image(part, affine) for key, part in zip(self.loaded, parts, strict=True)}
        del whole, parts
        for name, action in self.actions:
            try:
                action(images)
            except DataError as error:
                raise DataError(f"{name}: {error.what}", where=source, got=error.got, do=error.do) from error
            for image in images.values():
                if 0 in image.values.shape:
                    raise DataError(f"{name} leaves nothing of the scan", where=source, got=tuple(image.values.shape))
        return images


def read_preprocessing(component: Any) -> Preprocessing:
    """The transforms that a configuration describes.

    Raises:
        CheckpointError: one that is not known, or an argument that is not.
    """
    loaded: tuple[str, ...] = ()
    actions: list[tuple[str, Action]] = []
    for part in flattened(component):
        name = array_name(part, MONAI)
        if name == "LoadImage":
            loaded += _load(Arguments(part))
            continue
        reader = _READERS.get(name)
        if reader is None:
            raise part.refused("a transform that is not known", got=part.target, do=f"Known: {', '.join(_READERS)}.")
        action = reader(part)
        if action is not None:
            actions.append((part.name, action))
    if not loaded:
        raise component.refused("no LoadImaged among the transforms")
    return Preprocessing(loaded, tuple(actions))


def _load(arguments: Arguments) -> tuple[str, ...]:
    keys = keys_of(arguments)
    arguments.only(
        "reader", None, "NibabelReader", "ITKReader", "NrrdReader", "PydicomReader", "nibabelreader", "itkreader"
    )
    check_dtype(arguments)
    arguments.drop("image_only", "ensure_channel_first", "simple_keys", "prune_meta_pattern", "prune_meta_sep")
    arguments.drop(
        "meta_keys", "meta_key_postfix", "overwriting", "expanduser", "allow_missing_keys", "affine_lps_to_ras"
    )
    arguments.done()
    return keys


def _as_it_is(part: Component) -> None:
    """Transforms of types and devices: values are float32 and channels first in any case."""
    arguments = Arguments(part)
    keys_of(arguments)
    arguments.only("channel_dim", None, "no_channel", -1)
    check_dtype(arguments)
    arguments.drop("data_type", "device", "wrap_sequence", "track_meta", "strict_check", "allow_missing_keys")
    arguments.drop("meta_keys", "meta_key_postfix", "non_blocking", "drop_meta", "output_type")
    arguments.done()


def _each(keys: Sequence[str], changes: Sequence[Change]) -> Action:
    def action(images: Images) -> None:
        for key, change in zip(keys, changes, strict=True):
            if key not in images:
                raise DataError(f"there is no '{key}' at this point", got=", ".join(images))
            images[key] = change(images[key])

    return action


def _intensity(part: Component, allowed: Keyed) -> Action:
    keys, transforms = monai_transform(part, allowed)
    return _each(keys, [partial(_with_values, one) for one in transforms])


def _with_values(transform: Callable[[Tensor], Any], image: Image) -> Image:
    return replace(image, values=bare(call(transform, image.values)))


def _moving(part: Component, allowed: Keyed) -> Action:
    keys, transforms = monai_transform(part, allowed)
    return _each(keys, [partial(_moved, one) for one in transforms])


def _moved(transform: Callable[[Tensor], Any], image: Image) -> Image:
    found = call(transform, meta(image.values, image.affine))
    values = bare(found).contiguous()
    changed = Image(values, np.asarray(found.affine, dtype=np.float64))
    if values.shape == image.values.shape and np.array_equal(changed.affine, image.affine):
        return replace(changed, steps=image.steps)
    return replace(changed, steps=(*image.steps, Moved(image.place, changed.place)))


def _crop_foreground(part: Component) -> Action:
    import monai.transforms

    arguments = Arguments(part)
    keys, source = keys_of(arguments), arguments.require("source_key")
    modes = one_of(arguments.take("mode", "constant"), len(keys))
    arguments.drop("start_coord_key", "end_coord_key", "allow_missing_keys")
    arguments.only("lazy", False)
    words = plain_words(arguments, "channel_indices margin allow_smaller k_divisible constant_values value")
    select = arguments.take("select_fn")
    if select is not None:
        words["select_fn"] = part_function(part, select)
    arguments.done()
    crop = call(partial(monai.transforms.CropForeground, **words))

    def action(images: Images) -> None:
        if source not in images:
            raise DataError(f"there is no '{source}' at this point", got=", ".join(images))
        box = call(crop.compute_bounding_box, images[source].values)
        for key, mode in zip(keys, modes, strict=True):
            images[key] = _moved(partial(crop.crop_pad, box_start=box[0], box_end=box[1], mode=mode), images[key])

    return action


def part_function(part: Component, value: Any) -> Callable[..., Any]:
    """A lambda of the configuration. Raises CheckpointError for anything else."""
    from medical.bundle.values import Function

    if not isinstance(value, Function):
        raise part.refused("a function that is not known", got=value)
    return value.call


def _spacing(part: Component) -> Action:
    import monai.transforms

    arguments = Arguments(part)
    keys = keys_of(arguments)
    modes = one_of(arguments.take("mode", "bilinear"), len(keys))
    outside = one_of(arguments.take("padding_mode", "border"), len(keys))
    extents = one_of(arguments.take("scale_extent", False), len(keys))
    arguments.only("recompute_affine", False)
    arguments.only("lazy", False)
    arguments.drop("align_corners", "dtype", "allow_missing_keys", "ensure_same_shape", "meta_keys", "meta_key_postfix")
    words = plain_words(arguments, "pixdim diagonal min_pixdim max_pixdim")
    arguments.done()
    known = {**dict.fromkeys(("bilinear", "trilinear", "linear", 1), "linear"), "nearest": "nearest", 0: "nearest"}
    for mode, beyond in zip(modes, outside, strict=True):
        if mode not in known or beyond not in ("border", "zeros"):
            wanted = "mode bilinear or nearest, padding_mode border or zeros"
            raise part.refused("this interpolation is not supported", got=(mode, beyond), wanted=wanted)

    def changed(scale_extent: bool, mode: Any, beyond: Any, image: Image) -> Image:
        transform = monai.transforms.Spacing(**words, scale_extent=bool(scale_extent))
        planned = call(partial(transform, lazy=True), meta(image.values, image.affine))  # the new grid, no voxels
        i, j, k = (int(n) for n in planned.peek_pending_shape())
        after = Place((i, j, k), np.asarray(planned.peek_pending_affine(), dtype=np.float64))
        step = Resampled(image.place, after, known[mode], beyond)  # type: ignore[arg-type]
        return Image(step.forward().sample(image.values), after.affine, (*image.steps, step))

    call(partial(monai.transforms.Spacing, **words))
    return _each(keys, [partial(changed, *one) for one in zip(extents, modes, outside, strict=True)])


_OF_VOLUMES = {"linear": "trilinear", "bilinear": "trilinear"}
"""MONAI takes these as the linear interpolation of as many dimensions as the image has."""


def _resize(part: Component) -> Action:
    import monai.transforms

    arguments = Arguments(part)
    keys = keys_of(arguments)
    modes = [_OF_VOLUMES.get(mode, mode) for mode in one_of(arguments.take("mode", "area"), len(keys))]
    corners = one_of(arguments.take("align_corners"), len(keys))
    arguments.only("anti_aliasing", False)
    arguments.only("lazy", False)
    arguments.drop("anti_aliasing_sigma", "dtype", "allow_missing_keys")
    words = plain_words(arguments, "spatial_size size_mode")
    arguments.done()
    for mode in modes:
        if mode not in ("area", "trilinear", "nearest", "nearest-exact"):
            raise part.refused("this interpolation is not supported", got=mode, wanted="area, trilinear or nearest")

    def changed(mode: str, align: bool | None, image: Image) -> Image:
        transform = monai.transforms.Resize(**words, mode=mode, align_corners=align)
        found = call(transform, meta(image.values, image.affine))
        values = bare(found)
        after = Image(values, np.asarray(found.affine, dtype=np.float64))
        step = Resized(image.place.shape, after.place.shape, mode, bool(align))
        return replace(after, steps=(*image.steps, step))

    return _each(keys, [partial(changed, *one) for one in zip(modes, corners, strict=True)])


def _concatenate(part: Component) -> Action:
    arguments = Arguments(part)
    keys, name = keys_of(arguments), arguments.require("name")
    arguments.only("dim", 0)
    arguments.drop("allow_missing_keys")
    arguments.done()

    def action(images: Images) -> None:
        found = [images[key] for key in keys if key in images]
        if len(found) < len(keys) or len({one.values.shape[1:] for one in found}) > 1:
            raise DataError("the channels to be joined are missing or have other sizes", got=", ".join(images))
        images[name] = replace(found[0], values=torch.cat([one.values for one in found]))

    return action


def _delete(part: Component) -> Action:
    arguments = Arguments(part)
    keys = keys_of(arguments)
    arguments.drop("sep", "use_re")
    arguments.done()

    def action(images: Images) -> None:
        for key in keys:
            images.pop(key, None)

    return action


def _select(part: Component) -> Action:
    arguments = Arguments(part)
    keys = keys_of(arguments)
    arguments.drop("allow_missing_keys")
    arguments.done()

    def action(images: Images) -> None:
        for key in [key for key in images if key not in keys]:
            del images[key]

    return action


def _copy(part: Component) -> Action:
    arguments = Arguments(part)
    keys, names = keys_of(arguments), arguments.require("names")
    names = [names] if isinstance(names, str) else list(names)
    arguments.only("times", 1, len(names) // len(keys))
    arguments.drop("allow_missing_keys")
    arguments.done()
    if not names or len(names) % len(keys):
        raise part.refused("not as many names as copies", got=names)

    def action(images: Images) -> None:
        for number, name in enumerate(names):
            if (key := keys[number % len(keys)]) in images:
                images[name] = images[key]

    return action


def _mapped(part: Component) -> Action:
    arguments = Arguments(part)
    keys = keys_of(arguments)
    function = part_function(part, plain(part, arguments.require("func"), functions=True))
    arguments.only("track_meta", True, False)
    arguments.drop("inv_func", "overwrite", "allow_missing_keys")
    arguments.done()

    def changed(image: Image) -> Image:
        values = call(function, image.values)
        if not isinstance(values, Tensor) or values.shape[1:] != image.values.shape[1:]:
            raise DataError("the lambda gives no image of the same size")
        return replace(image, values=bare(values))

    return _each(keys, [changed] * len(keys))


_INTENSITY: Mapping[str, str] = {
    "ScaleIntensity": "minv maxv factor channel_wise",
    "ScaleIntensityRange": "a_min a_max b_min b_max clip",
    "ScaleIntensityRangePercentiles": "lower upper b_min b_max clip relative channel_wise",
    "NormalizeIntensity": "subtrahend divisor nonzero channel_wise",
    "ThresholdIntensity": "threshold above cval",
    "ShiftIntensity": "offset safe",
    "StdShiftIntensity": "factor nonzero channel_wise",
    "ClipIntensityPercentiles": "lower upper sharpness_factor channel_wise",
    "AdjustContrast": "gamma invert_image retain_stats",
    "HistogramNormalize": "num_bins min max",
    "GaussianSmooth": "sigma approx",
    "MedianSmooth": "radius",
}
_MOVING: Mapping[str, str] = {
    "Orientation": "axcodes as_closest_canonical labels",
    "SpatialPad": "spatial_size method mode constant_values value",
    "BorderPad": "spatial_border mode constant_values value",
    "DivisiblePad": "k method mode constant_values value",
    "ResizeWithPadOrCrop": "spatial_size method mode constant_values value",
    "CenterSpatialCrop": "roi_size",
    "CenterScaleCrop": "roi_scale",
    "SpatialCrop": "roi_center roi_size roi_start roi_end",
    "Flip": "spatial_axis",
    "Rotate90": "k spatial_axes",
}
_AS_THEY_ARE = (
    *("EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "ToDevice", "CastToType"),
    *("ToMetaTensor", "FromMetaTensor", "Identity"),
)
_READERS: Mapping[str, Callable[[Component], Action | None]] = {
    **dict.fromkeys(_AS_THEY_ARE, _as_it_is),
    **{name: partial(_intensity, allowed=Keyed(words)) for name, words in _INTENSITY.items()},
    **{name: partial(_moving, allowed=Keyed(words)) for name, words in _MOVING.items()},
    "Spacing": _spacing,
    "Resize": _resize,
    "CropForeground": _crop_foreground,
    "ConcatItems": _concatenate,
    "DeleteItems": _delete,
    "SelectItems": _select,
    "CopyItems": _copy,
    "Lambda": _mapped,
}
