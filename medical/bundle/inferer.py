"""How a bundle runs its network over a volume: in sliding windows, slice by slice, or whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from medical.bundle.spatial import Triple
from medical.bundle.transforms import require_package
from medical.bundle.values import CODE, Arguments, Component
from vol3d.errors import CheckpointError

_PAD_MODES = ("constant", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Inferer:
    """Windows of a volume.

    Args:
        size: voxels along i, j, k; None takes the volume's own.
        overlap: share of a window that the next one covers again.
        blend: weight of a voxel by its place in the window.
        batch: windows per forward pass.
        padding: how a volume smaller than a window is continued.
        fill: its value outside, if that is constant.
        plane: the axis that slices are cut across, for networks of planes.
    """

    size: tuple[int | None, int | None, int | None] = (None, None, None)
    overlap: float = 0.25
    blend: Literal["constant", "gaussian"] = "constant"
    batch: int = 1
    padding: str = "constant"
    fill: float = 0.0
    plane: int | None = None

    def window(self, shape: Triple) -> Triple:
        """Voxels of a window in a volume of `shape`."""
        i, j, k = (n if own is None else own for own, n in zip(self.size, shape, strict=True))
        return i, j, k


def read_inferer(component: Any, dimensions: int) -> Inferer:
    """The windows that a configuration describes.

    Args:
        dimensions: of the network, 2 or 3.

    Raises:
        CheckpointError: an inferer that is not known, or windows that do not fit the network.
    """
    if component is None:
        if dimensions != 3:
            raise CheckpointError("a network of planes without SliceInferer", got=f"{dimensions} dimensions")
        return Inferer()
    if not isinstance(component, Component):
        raise CheckpointError("no inferer", got=component, do=CODE)
    require_package(component, "monai.inferers")
    name = component.name
    if name not in ("SimpleInferer", "SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer"):
        raise component.refused("an inferer that is not known", got=component.target, do=CODE)
    if dimensions != (2 if name == "SliceInferer" else 3):
        wanted = "a network of volumes, or one of planes with SliceInferer"
        raise component.refused("does not fit the network", got=f"{dimensions} dimensions", wanted=wanted)
    if name == "SimpleInferer":
        Arguments(component).done()
        return Inferer()
    return _sliding(Arguments(component), name == "SliceInferer")


def _sliding(arguments: Arguments, slices: bool) -> Inferer:
    part = arguments.component
    plane = arguments.take("spatial_dim", 0) if slices else None
    size = _size(arguments.require("roi_size"), plane, part)
    overlap = arguments.take("overlap", 0.25)
    shares = set(overlap) if isinstance(overlap, list | tuple) else {overlap}
    if len(shares) != 1 or not all(isinstance(one, int | float) and 0 <= one < 1 for one in shares):
        raise part.refused("an overlap that is not supported", got=overlap, wanted="one share from 0 to below 1")
    blend, padding = str(arguments.take("mode", "constant")), str(arguments.take("padding_mode", "constant"))
    batch = arguments.take("sw_batch_size", 1)
    if blend not in ("constant", "gaussian") or padding not in _PAD_MODES or type(batch) is not int or batch < 1:
        raise part.refused("windows of this kind are not supported", got=(blend, padding, batch))
    fill = float(arguments.take("cval", 0.0))
    if blend == "gaussian":
        arguments.only("sigma_scale", 0.125)
    arguments.only("with_coord", False)
    arguments.drop("sigma_scale", "sw_device", "device", "progress", "cache_roi_weight_map", "cpu_thresh")
    arguments.drop("buffer_steps", "buffer_dim")
    arguments.done()
    return Inferer(size, float(next(iter(shares))), blend, batch, padding, fill, plane)  # type: ignore[arg-type]


def _size(value: Any, plane: int | None, part: Component) -> tuple[int | None, int | None, int | None]:
    wanted = 3 if plane is None else 2
    edges = list(value) if isinstance(value, list | tuple) else [value] * wanted
    if (
        len(edges) != wanted
        or not all(one is None or type(one) is int for one in edges)
        or plane not in (None, 0, 1, 2)
    ):
        raise part.refused("no size of windows", got=value, wanted=f"{wanted} whole numbers")
    sizes: list[int | None] = [one if one is not None and one > 0 else None for one in edges]
    if plane is not None:
        sizes.insert(plane, 1)
    return sizes[0], sizes[1], sizes[2]
