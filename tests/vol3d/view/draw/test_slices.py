"""Pictures of three planes: right side up, true to scale, and drawn for any mask there can be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.vol3d.view.scenes import pixels
from vol3d.errors import UsageError
from vol3d.scans.results.palette import class_colours
from vol3d.view.draw.slices import _middle, slice_picture

NAMES = ("background", "anterior", "posterior")


def coloured(picture: np.ndarray, colour: str) -> np.ndarray:
    """(n, 2) row and column of pixels of exactly this colour, the legend at the foot left out."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    found = np.argwhere((picture == rgb).all(axis=-1))
    return found[found[:, 0] < picture.shape[0] * 0.85]


def volume(shape: tuple[int, int, int] = (20, 30, 24)) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[14:18, 22:27, 16:22] = 1  # right, anterior, superior
    return image, labels


def test_right_is_on_the_left_and_anterior_and_superior_are_up():
    image, labels = volume()
    picture = pixels(slice_picture(image, (1, 1, 1), {"truth": labels}, NAMES, "case", "RAS"))
    found = coloured(picture, class_colours(("truth",), 2)["truth", 1])
    axial = found[found[:, 1] < picture.shape[1] / 3]
    panels = np.array([20, 20, 30]) / 70 * (picture.shape[1] - 132)
    assert axial[:, 1].mean() < 33 + panels[0] / 2, "the patient's right must be on the left of the axial plane"
    assert axial[:, 0].mean() < picture.shape[0] / 2, "anterior must be up in the axial plane"
    sagittal = found[found[:, 1] > picture.shape[1] * 0.6]
    assert sagittal[:, 1].mean() < picture.shape[1] - 33 - panels[2] / 2, "anterior must be left in the sagittal plane"


@pytest.mark.parametrize("orientation", ["LPS", "ASR", "PIL"])
def test_any_orientation_gives_the_same_picture(orientation: str):
    image, labels = volume()
    wanted = slice_picture(image, (1, 2, 3), {"truth": labels}, NAMES, "case", "RAS")
    order = ["LR", "PA", "IS"]
    axes = [next(i for i, pair in enumerate(order) if letter in pair) for letter in orientation]
    flips = tuple(slice(None, None, 1 if letter in "RAS" else -1) for letter in orientation)
    turned = [array.transpose(axes)[flips] for array in (image, labels)]
    spacing = [(1, 2, 3)[axis] for axis in axes]
    assert slice_picture(turned[0], spacing, {"truth": turned[1]}, NAMES, "case", orientation) == wanted


def test_aspect_follows_the_spacing():
    image, _ = volume((16, 16, 8))
    flat = pixels(slice_picture(image, (1, 1, 1), {}, NAMES, "t", "RAS")).shape
    tall = pixels(slice_picture(image, (1, 1, 6), {}, NAMES, "t", "RAS")).shape
    assert tall[0] > flat[0]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 12, 9), (8, 1, 9), (5, 6, 1)])
def test_thin_volumes(shape: tuple[int, int, int]):
    assert slice_picture(np.ones(shape), (1, 1, 1), {"truth": np.ones(shape, int)}, NAMES, "thin", "RAS").startswith(
        b"\x89PNG"
    )


def test_odd_input_is_drawn():
    image, labels = volume()
    image[:3] = np.nan
    image[4] = np.inf
    masks = {"truth": np.zeros_like(labels), "prediction": labels * 7}
    assert slice_picture(image, (0.5, 0.5, 5), masks, NAMES, r"title with $\frac and <b>", "RAS").startswith(b"\x89PNG")
    assert slice_picture(np.full((4, 4, 4), np.nan), (1, 1, 1), {}, NAMES, "", "RAS").startswith(b"\x89PNG")


def test_many_classes_share_a_colour_between_masks_and_few_do_not():
    many, few = class_colours(("truth", "prediction"), 13), class_colours(("truth", "prediction"), 2)
    assert len({many["truth", label] for label in range(1, 14)}) == 13
    assert all(many["truth", label] == many["prediction", label] for label in range(1, 14))
    assert len(set(few.values())) == 4
    image, labels = volume()
    labels[:13, :10, :10] = np.arange(13, dtype=np.uint8)[:, None, None] + 1
    names = ["background", *(f"organ {i}" for i in range(13))]
    assert slice_picture(image, (1, 1, 1), {"truth": labels, "prediction": labels}, names, "many", "RAS").startswith(
        b"\x89PNG"
    )


def test_planes_never_miss_the_foreground():
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[2:4, 5, 5] = mask[16:18, 12, 14] = 1  # two organs with nothing between them
    centre, box = _middle(mask.shape, {"empty": np.zeros_like(mask), "truth": mask})
    assert all(np.take(mask, index, axis=axis).any() for axis, index in enumerate(centre))
    assert box == [slice(2, 18), slice(5, 13), slice(5, 15)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.ones((4, 4))}, r"got shape \(4, 4\)"),
        ({"image": np.ones((0, 4, 4)), "masks": {}}, "none of them 0"),
        ({"masks": {"truth": np.ones((4, 4, 5))}}, r"mask 'truth'.*got \(4, 4, 5\).*wanted \(4, 4, 4\)"),
        ({"spacing_mm": (1, 0, 1)}, "spacing_mm"),
        ({"spacing_mm": (1, float("nan"), 1)}, "spacing_mm"),
        ({"orientation": "RLS"}, "orientation"),
        ({"orientation": "XYZ"}, "orientation"),
    ],
)
def test_bad_input_is_named(change: dict, message: str):
    good = {"image": np.ones((4, 4, 4)), "spacing_mm": (1, 1, 1), "masks": {}, "class_names": NAMES, "title": "t"}
    good["orientation"] = "RAS"
    with pytest.raises(UsageError, match=message):
        slice_picture(**{**good, **change})


def test_no_pyplot_and_no_torch():
    code = "import sys, vol3d.view.draw.slices; print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_ct_is_drawn_in_the_window_of_soft_tissue_unless_another_is_asked_for():
    image = np.full((20, 20, 20), -1000, np.float32)
    image[5:15, 5:15] = 40
    image[0, 0, 0] = 2000

    def greys(window: tuple[float, float] | None) -> set[int]:
        drawn = pixels(slice_picture(image, (1, 1, 1), {}, NAMES, "", "RAS", window))[150:-150]
        return {int(value) for value in drawn[(drawn == drawn[..., :1]).all(axis=-1)][:, 0]}

    assert round(255 * 200 / 400) in greys(None)  # 40 in -160 to 240
    assert round(255 * 1040 / 2000) not in greys(None) and round(255 * 1040 / 2000) in greys((-1000.0, 1000.0))
