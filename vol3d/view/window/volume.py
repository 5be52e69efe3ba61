"""Slices of a volume and the surfaces of its organs in the Open3D window."""

from __future__ import annotations

from typing import Any

import numpy as np

from vol3d.view.draw.camera import place_camera
from vol3d.view.draw.colours import hex_table
from vol3d.view.draw.surfaces import Surface, organ_surfaces
from vol3d.view.scene import Camera, MaskLayer, ViewScene, VolumeLayer
from vol3d.view.window.panel import SHOWN, heading, remarks, slider, switches, whole_open3d

# Name, and the axis of the volume that the plane's slider moves along.
_PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
_OVERLAY = 0.45  # share of the class's colour over the grey
_CAMERA = Camera(60.0, 25.0)
# Direction to the lamp (right, front, head) and its strength: from above before the patient, and from below behind.
_LAMPS, _AMBIENT = (((0.5, 0.8, 1.0), 0.7), ((-0.7, -0.6, -0.3), 0.25)), 0.25


class VolumeContent:
    """What the window shows of one volume, as set in the panel."""

    def __init__(self, scene: ViewScene, layer: VolumeLayer, stage: Any, side: Any, size: tuple[int, int]) -> None:
        self.scene, self.layer, self.stage = scene, layer, stage
        self.window = list(layer.window)
        self.at = _middle(layer)
        self.surfaces = [(mask, surface) for mask in layer.masks for surface in organ_surfaces(mask)]
        classes = scene.opening.classes
        self.organs = {one.name for _, one in self.surfaces if classes is None or one.name in classes}
        # The other planes would hide the organs.
        self.planes = {"axial"} if self.organs else {name for name, _ in _PLANES}
        self.overlaid = True
        self._fill(side)
        for mask, surface in self.surfaces:
            self._add_surface(mask, surface)
        self.draw_planes()
        self.show_surfaces()
        self._look(size)

    def draw_planes(self) -> None:
        """The three slices anew."""
        for name, axis in _PLANES:
            self.draw_plane(name, axis)

    def draw_plane(self, name: str, axis: int) -> None:
        """One slice as a textured rectangle where it stands in the patient."""
        open3d = whole_open3d()
        if self.stage.scene.has_geometry(name):
            self.stage.scene.remove_geometry(name)
        if name not in self.planes:
            return
        corners, texture = plane(self.layer, axis, self.at[axis], (self.window[0], self.window[1]), self._shown_masks())
        triangles = np.array([(0, 1, 2), (0, 2, 3), (2, 1, 0), (3, 2, 0)], np.int32)  # seen from both sides
        mesh = open3d.geometry.TriangleMesh(
            open3d.utility.Vector3dVector(corners), open3d.utility.Vector3iVector(triangles)
        )
        mesh.vertex_colors = open3d.utility.Vector3dVector(np.ones((4, 3)))  # else it is grey, and halves the texture
        # A border of the same colours, since textures go round at their edges; their first row is at the top.
        texture = np.pad(texture, ((1, 1), (1, 1), (0, 0)), mode="edge")
        inset = np.array((1 / texture.shape[1], 1 / texture.shape[0]))
        across = inset + (1 - 2 * inset) * np.array([(0, 1), (1, 1), (1, 0), (0, 0)])
        mesh.triangle_uvs = open3d.utility.Vector2dVector(across[triangles.ravel()])
        material = open3d.visualization.rendering.MaterialRecord()
        material.shader = "defaultUnlit"
        material.albedo_img = open3d.geometry.Image(np.ascontiguousarray(SHOWN[texture]))
        self.stage.scene.add_geometry(name, mesh, material)

    def show_surfaces(self) -> None:
        """Show the organs that are ticked and hide the others."""
        for mask, surface in self.surfaces:
            self.stage.scene.show_geometry(f"{mask.name} {surface.name}", surface.name in self.organs)

    def _add_surface(self, mask: MaskLayer, surface: Surface) -> None:
        open3d = whole_open3d()
        tensor = open3d.core.Tensor
        mesh = open3d.t.geometry.TriangleMesh()  # the older kind of mesh takes Mesa's software renderer minutes
        mesh.vertex.positions = tensor(np.ascontiguousarray(surface.vertices))
        mesh.vertex.normals = tensor(np.ascontiguousarray(surface.normals))
        mesh.vertex.colors = tensor(_painted(surface).astype(np.float32))
        mesh.triangle.indices = tensor(np.ascontiguousarray(surface.faces))
        material = open3d.visualization.rendering.MaterialRecord()
        material.shader = "defaultUnlit"
        self.stage.scene.add_geometry(f"{mask.name} {surface.name}", mesh, material)

    def _shown_masks(self) -> list[tuple[MaskLayer, list[int]]]:
        if not self.overlaid:
            return []
        names = [mask.segmentation.class_names for mask in self.layer.masks]
        return [
            (mask, [label for label in mask.colours if of_mask[label] in self.organs])
            for mask, of_mask in zip(self.layer.masks, names, strict=True)
        ]

    def _look(self, size: tuple[int, int]) -> None:
        shape, affine = np.array(self.layer.volume.grid.shape), self.layer.volume.affine
        ends = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (shape - 1)
        box = ends @ affine[:3, :3].T + affine[:3, 3]
        opening = self.scene.opening.camera
        camera = _CAMERA if opening == Camera() else opening
        view = place_camera(camera, np.zeros((0, 3)), size, box)
        middle = box.mean(axis=0).astype(np.float32)
        field_of_view = float(np.degrees(2 * np.arctan(size[1] / 2 / view.focal_px)))
        self.stage.setup_camera(field_of_view, self.stage.scene.bounding_box, middle)
        target = (view.eye + float((middle - view.eye) @ view.axes[2]) * view.axes[2]).astype(np.float32)
        self.stage.scene.camera.look_at(target, view.eye.astype(np.float32), [0, 0, 1])

    def _fill(self, side: Any) -> None:
        heading(side, "Slices")
        switches(side, [name for name, _ in _PLANES], set(self.planes), self._set_planes)
        for name, axis in _PLANES:
            last = self.layer.volume.grid.shape[axis] - 1
            slider(side, name, (0, max(last, 1)), self.at[axis], self._mover(name, axis), whole=True)
        some = self.layer.volume.array[0].ravel()[:: max(1, self.layer.volume.array[0].size // 100_000)]
        ends = (float(np.nanmin(some)), float(np.nanmax(some)))
        heading(side, "Grey values")
        slider(side, "black", ends, self.window[0], lambda value: self._set_window(0, value))
        slider(side, "white", ends, self.window[1], lambda value: self._set_window(1, value))
        if self.surfaces:
            heading(side, "Organs")
            colours = {surface.name: surface.colour for _, surface in self.surfaces}
            ground = self.scene.opening.theme.ground
            switches(side, list(colours), set(self.organs), self._set_organs, list(colours.values()), ground)
            switches(side, ["on the slices"], {"on the slices"}, self._set_overlaid)
        if self.scene.notes:
            heading(side, "Notes")
            remarks(side, self.scene.notes)

    def _mover(self, name: str, axis: int) -> Any:
        def move(value: float) -> None:
            self.at[axis] = min(round(value), self.layer.volume.grid.shape[axis] - 1)
            self.draw_plane(name, axis)

        return move

    def _set_planes(self, names: set[str]) -> None:
        self.planes = names
        self.draw_planes()

    def _set_window(self, end: int, value: float) -> None:
        self.window[end] = value
        self.draw_planes()

    def _set_organs(self, names: set[str]) -> None:
        self.organs = names
        self.show_surfaces()
        self.draw_planes()

    def _set_overlaid(self, names: set[str]) -> None:
        self.overlaid = bool(names)
        self.draw_planes()


def plane(
    layer: VolumeLayer, axis: int, index: int, window: tuple[float, float], masks: list[tuple[MaskLayer, list[int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """A slice of the volume as a coloured rectangle in space.

    Args:
        axis: 0 for sagittal, 1 for coronal, 2 for axial.
        index: of the slice along the axis.
        window: values that are black and white.
        masks: what is laid over it, with the labels that are shown.

    Returns:
        (4, 3) float64 RAS mm: the corners of the slice's outer edges, around; and the texture (rows, columns, 3) uint8,
        whose first row and first column lie between the first two corners and at the first corner.
    """
    cut = np.take(layer.volume.array[0], index, axis=axis)
    low, high = min(window), max(max(window), min(window) + 1e-6)
    grey = np.clip((np.nan_to_num(cut, nan=low) - low) / (high - low), 0, 1) * 255
    colours = np.repeat(grey[..., None], 3, axis=-1)
    for mask, labels in masks:
        of_mask = np.take(mask.segmentation.labels, index, axis=axis)
        for label in labels:
            inside = of_mask == label
            colours[inside] = (1 - _OVERLAY) * colours[inside] + _OVERLAY * hex_table([mask.colours[label]])[0]
    first, second = (other for other in range(3) if other != axis)
    corners = np.zeros((4, 3))
    corners[:, axis] = index
    corners[:, first] = np.array((0, 1, 1, 0)) * cut.shape[0] - 0.5
    corners[:, second] = np.array((0, 0, 1, 1)) * cut.shape[1] - 0.5
    affine = layer.volume.affine
    return corners @ affine[:3, :3].T + affine[:3, 3], colours.transpose(1, 0, 2).astype(np.uint8)


def _painted(surface: Surface) -> np.ndarray:
    """(V, 3) float64 from 0 to 1: the class's colour under two lamps that stay where they are."""
    light = np.full(len(surface.vertices), _AMBIENT)
    for lamp, strength in _LAMPS:
        light += strength * np.clip(surface.normals @ (np.array(lamp) / np.linalg.norm(lamp)), 0, 1)
    return np.clip(light, 0, 1)[:, None] * hex_table([surface.colour])[0] / 255


def _middle(layer: VolumeLayer) -> list[int]:
    """The planes through the middle of the first mask's foreground, or of the volume."""
    for mask in layer.masks:
        labels = mask.segmentation.labels
        if labels.any():
            sums = [np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
            return [int(found[len(found) // 2]) for found in sums]
    return [side // 2 for side in layer.volume.grid.shape]
