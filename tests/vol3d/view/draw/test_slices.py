"""Pictures of three planes: right side up, true to scale, and drawn for any mask there can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.vol3d.view.scenes import pixels
from vol3d.errors import UsageError
from vol3d.scans.results.palette import class_colours
from vol3d.view.draw import slices
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


def texts_of(monkeypatch: pytest.MonkeyPatch, labels: np.ndarray, names: Sequence[str], title: str = "t") -> list[Text]:
    """What is written in the picture of this mask."""
    figures: list[Figure] = []
    monkeypatch.setattr(slices, "FigureCanvasAgg", lambda figure: figures.append(figure) or FigureCanvasAgg(figure))
    slice_picture(np.zeros(labels.shape), (1, 1, 1), {"mask": labels}, names, title, "RAS", (0.0, 1.0))
    return figures[0].findobj(Text)


def many(classes: int) -> tuple[np.ndarray, list[str]]:
    """Columns of labels 1 to `classes`, and their names."""
    labels = np.repeat(np.arange(1, classes + 1), 6)[:, None, None] * np.ones((1, 12, 12), int)
    return labels, ["background", *(f"organ {chr(65 + i % 26)}" for i in range(classes))]


@pytest.mark.parametrize("classes", [30, 31])
def test_outlines_are_numbered_where_colours_repeat(classes: int, monkeypatch: pytest.MonkeyPatch):
    written = [text.get_text() for text in texts_of(monkeypatch, *many(classes))]
    numbers = [text for text in written if text.isdecimal()]
    assert (len(numbers) > 20) == (classes == 31) == ("31 organ E" in written) == ("1 organ A" in written)
    assert ("organ A" in written) == (classes == 30)  # of one mask no name is written


def test_numbers_do_not_cover_each_other(monkeypatch: pytest.MonkeyPatch):
    labels, names = many(200)
    written = texts_of(monkeypatch, labels[::6], names)
    boxes = [text.get_window_extent() for text in written if text.get_text().isdecimal()]
    assert 5 < len(boxes) < 200
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("name", ["X" * 40, "q", "left gluteus maximus"])
def test_the_legend_fits(name: str, monkeypatch: pytest.MonkeyPatch):
    labels, _ = many(12)
    written = texts_of(monkeypatch, labels, ["background", *(f"{name} {i}" for i in range(12))])
    entries = [text.get_window_extent() for text in written if text.get_text().startswith(name)]
    assert len(entries) == 12 and all(box.x0 >= 0 and box.x1 <= 1100 and box.y0 >= 0 for box in entries)


@pytest.mark.parametrize("title", ["t", "a title " * 6, "W" * 200])
def test_title_and_note_have_room(title: str, monkeypatch: pytest.MonkeyPatch):
    written = {text.get_text(): text.get_window_extent() for text in texts_of(monkeypatch, volume()[1], NAMES, title)}
    note = next(box for text, box in written.items() if "radiological" in text)
    planes = [box for text, box in written.items() if "slice" in text]
    for box in (written[title], note):
        assert box.x0 >= 0 and box.x1 <= 1100 and not any(box.overlaps(plane) for plane in planes)
    assert not written[title].overlaps(note)


@pytest.mark.parametrize("width", [320, 999, 1280])
def test_a_picture_has_the_width_that_was_asked_for(width: int):
    image, labels = volume()
    png = slice_picture(image, (1, 1, 1), {"truth": labels}, NAMES, "case", "RAS", width_px=width)
    assert pixels(png).shape[1] == width
