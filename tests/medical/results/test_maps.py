"""Probabilities and their entropy beside masks: they add to 1, their largest is the mask, for every kind of model."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

import vol3d
from medical.classes import Classes
from medical.preprocess import PreprocessSettings, Unscaled
from medical.segment import segment
from medical.window import WindowSettings
from tests.medical.bundle import maker
from tests.medical.nnunet.made import REGIONS, configuration, plans_of, write_model
from tests.medical.test_segment import Thresholds
from tests.medical.test_segment import scan as blobs_scan
from vol3d.errors import DataError, UsageError
from vol3d.model import Model
from vol3d.prediction import MaskPrediction
from vol3d.scans import read_volume
from vol3d.scans.find import find_scans
from vol3d.scans.volumes.probabilities import Probabilities, on_disk, predictive_entropy

SAMPLE = Path(vol3d.__file__).parents[1] / "medical" / "samples"
BOTH = {"formats": "probabilities,entropy"}


def check_classes(found: Probabilities, labels: np.ndarray) -> None:
    assert found.exclusive and found.array.dtype == np.float32 and found.array.shape[1:] == labels.shape
    np.testing.assert_allclose(found.array.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(found.array.argmax(axis=0), labels)


def probabilities_of(result: MaskPrediction) -> Probabilities:
    assert result.probabilities is not None
    return result.probabilities


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.7, 1.3, 2.2)])
def test_the_mask_is_the_largest_probability(code: str, spacing: tuple[float, float, float]) -> None:
    volume, _ = blobs_scan(code)
    noisy = volume.with_array(volume.array + np.random.default_rng(0).normal(0, 40, volume.array.shape).astype("f4"))
    settings = PreprocessSettings(intensity=Unscaled(), spacing_mm=spacing)
    names = ("background", "a", "b")
    found = on_disk(noisy.grid.shape, names, True)
    windows = WindowSettings(size=(8, 8, 8), mirror_axes=(0,))
    mask = segment([Thresholds()], noisy, settings, windows, Classes(names), torch.device("cpu"), None, found)
    check_classes(found, mask.labels)
    assert len(np.unique(mask.labels)) == 3


def test_regions_may_overlap() -> None:
    volume, _ = blobs_scan()
    classes = Classes(("background", "edema", "core"), {"whole": ("edema", "core"), "core": ("core",)})
    found = on_disk(volume.grid.shape, classes.output_names, False)
    settings, windows = PreprocessSettings(intensity=Unscaled()), WindowSettings(size=(8, 8, 8))
    model = Thresholds((100.0, 200.0))
    with torch.no_grad():
        mask = segment([model], volume, settings, windows, classes, torch.device("cpu"), None, found)
    painted = np.where(found.array[1] > 0.5, 2, np.where(found.array[0] > 0.5, 1, 0))
    assert np.array_equal(painted, mask.labels) and not found.exclusive
    assert predictive_entropy(found).shape == found.array.shape


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_folders_of_nnunet(tmp_path: Path, transpose: tuple[int, int, int]) -> None:
    plans = plans_of({"3d_fullres": configuration()}, transpose)
    folder = write_model(tmp_path / "m", plans, folds=(0, 1))
    array = np.zeros((12, 9, 10), np.float32)
    array[2:9] = np.random.default_rng(0).normal(5, 2, (7, 9, 10))
    affine = np.array([[0, 1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]])
    for settings in ({}, {"orientation": "RAS"}):
        result = vol3d.load(folder, "cpu", settings).with_options(BOTH).predict(array, affine=affine)
        found = probabilities_of(result)
        check_classes(found, result.mask)
        assert (found.array[0, :2] == 1).all() and found.names == result.class_names  # outside of the crop
        assert 0 < predictive_entropy(found).max() <= np.log(len(found.names)) + 1e-6


def test_regions_of_nnunet(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", labels=REGIONS, regions_class_order=[1, 2, 3])
    array = np.random.default_rng(0).normal(5, 2, (9, 9, 9)).astype(np.float32)
    result = vol3d.load(folder, "cpu").with_options(BOTH).predict(array, affine=np.eye(4))
    found, wanted = probabilities_of(result), np.zeros(array.shape, int)
    for share, label in zip(found.array, (1, 2, 3), strict=True):
        wanted[share > 0.5] = label
    assert not found.exclusive and np.array_equal(wanted, result.mask) and len(found.names) == 3


@pytest.mark.parametrize(
    "post",
    [
        [maker.SOFTMAX, maker.INVERT, maker.ARGMAX],
        [maker.INVERT, maker.ARGMAX],
        [maker.INVERT, maker.SOFTMAX, maker.ARGMAX],
        [maker.SOFTMAX, maker.INVERT],
    ],
)
def test_bundles_of_classes(tmp_path: Path, post: list[dict]) -> None:
    result = bundle(tmp_path, post).with_options(BOTH).predict(maker.write_scan(tmp_path / "scan.nii.gz"))
    found = probabilities_of(result)
    assert found.names == ("background", "liver", "spleen")
    check_classes(found, result.mask)


def test_bundles_of_overlapping_outputs(tmp_path: Path) -> None:
    model = bundle(tmp_path, [maker.SIGMOID, maker.INVERT, maker.THRESHOLD])
    result = model.with_options(BOTH).predict(maker.write_scan(tmp_path / "scan.nii.gz"))
    found = probabilities_of(result)
    liver, spleen = (share >= 0.5 for share in found.array[1:])
    assert np.array_equal(result.mask, liver + 2 * spleen) and found.names == ("background", "liver", "spleen")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("post", "reason"),
    [
        ([maker.SOFTMAX, maker.ARGMAX, {**maker.INVERT, "nearest_interp": True}], "decides on the network's grid"),
        ([maker.INVERT, maker.THRESHOLD], "no softmax or sigmoid right before"),
    ],
)
def test_bundles_without(tmp_path: Path, post: list[dict], reason: str) -> None:
    model = bundle(tmp_path, post).with_options(BOTH)
    with pytest.raises(UsageError, match=reason):
        model.predict(maker.write_scan(tmp_path / "scan.nii.gz"))


def bundle(folder: Path, post: list[dict]) -> Model:
    return vol3d.load(maker.write_bundle(folder / "bundle", maker.config(post=[*post, maker.SAVE])), "cpu")


def test_entropy_against_sums_by_hand() -> None:
    rows = [(1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (1 / 3, 1 / 3, 1 / 3), (0.2, 0.1, 0.7)]
    array = np.array(rows, np.float32).T.reshape(3, 2, 1, 2)
    for exclusive in (True, False):
        got = predictive_entropy(Probabilities(array, ("a", "b", "c"), exclusive))
        wanted = np.zeros_like(got)
        for output, i, k in itertools.product(range(3), range(2), range(2)):
            share = float(array[output, i, 0, k])
            terms = [share] if exclusive else [share, 1 - share]
            wanted[0 if exclusive else output, i, 0, k] += sum(-p * np.log(p) for p in terms if p > 0)
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert predictive_entropy(on_disk((1, 1, 1), ("a", "b"), True)).tolist() == [[[[0.0]]]]


def test_files_beside_the_mask(tmp_path: Path) -> None:
    path = next(iter(sorted(SAMPLE.rglob("*.nii.gz"))))
    model = vol3d.load("unetr-hippocampus").with_options({**BOTH, "roi": "posterior"})
    (row,) = model.predict_files([str(path)], tmp_path)
    assert row.status == "written", row.error
    stem = path.name.removesuffix(".nii.gz")
    shares, entropy = (read_volume(tmp_path / f"{stem}.{name}.nii.gz") for name in ("probabilities", "entropy"))
    assert np.array_equal(shares.affine, read_volume(path).affine)
    assert nibabel.load(tmp_path / f"{stem}.probabilities.nii.gz").get_data_dtype() == np.float32
    labels = np.asarray(nibabel.load(row.output).dataobj)
    assert np.array_equal(shares.array.argmax(axis=0) == 2, labels == 2) and set(np.unique(labels)) == {0, 2}
    wanted = -(shares.array * np.log(shares.array.clip(1e-30))).sum(axis=0)
    np.testing.assert_allclose(entropy.array[0], wanted, atol=1e-5)

    codes = {note.code: note for note in row.notes}
    assert codes["probabilities"].value == "background, Anterior, Posterior"
    assert codes["predictive-entropy"].numbers["largest"] == pytest.approx(entropy.array.max(), abs=1e-5)
    with pytest.raises(DataError, match="no scan in this folder"):  # results are no scans
        find_scans([tmp_path])
    (again,) = model.predict_files([str(path)], tmp_path)
    assert again.status == "skipped"
