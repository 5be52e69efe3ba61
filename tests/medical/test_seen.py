"""A scan that is not what the training scans were like is noted with both numbers."""

import numpy as np
import pytest

from medical.datasets.cases import IGNORED
from medical.seen import found_numbers, no_hounsfield_units, scan_numbers, scan_traits, truth_numbers, volume_traits
from vol3d.engine.seen import Seen, ranges_of, unlike
from vol3d.scans.volumes.grid import reorient
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

SCORED = {"left kidney": (1,), "whole": (1, 2)}


def scan(spacing=(1.0, 1.0, 3.0), shape=(40, 50, 10), low=0.0, high=800.0) -> Volume:
    values = np.random.default_rng(0).uniform(low, high, (1, *shape)).astype(np.float32)
    return Volume(values, Grid(shape, np.diag([*spacing, 1.0])))


def notes(image: Volume, *training: Volume) -> dict[str, dict[str, float]]:
    ranges = ranges_of([scan_numbers(one) for one in training], scan_traits(("CT",)))
    seen = Seen(data="x", ranges=ranges)
    return {note.code: dict(note.numbers) for note in unlike(seen, scan_numbers(image), scan_traits(("CT",), seen))}


def test_scans_like_those_of_the_training_are_no_surprise() -> None:
    training = scan(), scan(spacing=(1.2, 1.2, 4.0))
    for image in (*training, reorient(training[0], "SLA"), scan(low=20, high=750)):
        assert notes(image, *training) == {}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"spacing": (1.0, 1.0, 9.0), "shape": (40, 50, 4)}, {"spacing-head-foot"}),
        ({"shape": (90, 50, 10)}, {"extent-left-right"}),
        ({"shape": (40, 20, 10)}, {"extent-front-back"}),
        ({"low": -1000.0, "high": 800.0}, {"low-0"}),
        ({"low": 0.0, "high": 8000.0}, {"high-0"}),
        ({"low": 0.0, "high": 1.0}, {"high-0"}),
    ],
)
def test_others_are_noted(changes: dict[str, object], codes: set[str]) -> None:
    found = notes(scan(**changes), scan())  # type: ignore[arg-type]
    assert set(found) == {f"{code}-unlike-training" for code in codes}
    assert all(set(numbers) == {"found", "low", "high"} for numbers in found.values())


def test_organs_of_an_unknown_size() -> None:
    grid = Grid((10, 10, 10), np.diag([10.0, 10.0, 10.0, 1.0]))
    small, large, none = (np.zeros(grid.shape, np.uint8) for _ in range(3))
    small[:2, :5, :4], large[:5, :5] = 1, 1
    known = truth_numbers(Volume(small[None], grid), SCORED)
    assert known == pytest.approx({"volume-left-kidney": 40.0, "volume-whole": 40.0})
    traits = volume_traits(tuple(SCORED))
    seen = Seen(data="x", ranges=ranges_of([truth_numbers(Volume(small[None], grid), SCORED)], traits))
    assert unlike(seen, found_numbers(Segmentation(small, grid, ("b", "x", "y")), SCORED), traits) == ()
    for labels, ml in ((large, 250.0), (none, 0.0)):
        found = unlike(seen, found_numbers(Segmentation(labels, grid, ("b", "x", "y")), SCORED), traits)
        assert [note.numbers["found"] for note in found] == pytest.approx([ml, ml])
        assert "ml of left kidney were found; the model was trained on 40 to 40 ml" in str(found[0])


def test_where_voxels_are_ignored_no_volume_is_known() -> None:
    label = np.full((1, 2, 2, 2), IGNORED, np.uint8)
    assert truth_numbers(Volume(label, Grid((2, 2, 2), np.eye(4))), SCORED) == {}


def test_a_ct_without_a_value_below_zero_is_noted() -> None:
    image = scan(low=0, high=1300)
    (note,) = no_hounsfield_units(image, {0: "CT"})
    assert note.code == "hounsfield-unlike-training" and str(note).startswith("no voxel of CT is below 0, the least is")
    assert not no_hounsfield_units(image, {}) and not no_hounsfield_units(scan(low=-110, high=200), {0: "CT"})
