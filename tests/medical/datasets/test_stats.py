"""The fingerprint: exact numbers on small volumes, the same whatever the axes' order, and a usable suggestion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medical.datasets.msd import MsdSettings
from medical.datasets.stats import stats
from medical.datasets.suggest import is_ct, target_spacing_mm
from medical.datasets.tools import tables
from medical.preprocess import PreprocessSettings
from tests.medical.synthetic import blobs, write_msd
from vol3d.errors import DataError


def test_numbers_of_a_case(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=2, spacing_mm=(1, 2, 3))
    found = stats(MsdSettings(root=task, fold="all").split(), workers=0)
    image, label = blobs(seed=0)
    case = found["cases"][0]
    assert (case["name"], case["shape"], case["spacing_mm"], case["orientation"]) == (
        "blobs_001",
        [20, 24, 16],
        [1, 2, 3],
        "RAS",
    )
    inside = image[0][label > 0].astype(float)
    assert case["intensity"]["MRI"]["mean"] == pytest.approx(inside.mean())
    assert case["intensity"]["MRI"]["std"] == pytest.approx(inside.std())
    assert case["intensity"]["MRI"]["percentile_99_5"] == pytest.approx(np.percentile(inside, 99.5))
    assert case["volumes"]["anterior"]["ml"] == pytest.approx((label == 1).sum() * 6 / 1000)
    assert case["volumes"]["anterior"]["share"] == pytest.approx((label == 1).mean())
    assert found["summary"]["volumes"]["posterior"]["cases"] == 2
    json.dumps(found, allow_nan=False)


def test_axes_order_changes_nothing_but_the_code(tmp_path: Path) -> None:
    both = []
    for code in ("RAS", "SPL"):
        task = write_msd(tmp_path / code, cases=2, spacing_mm=(1, 2, 3), orientation=code)
        both.append(stats(MsdSettings(root=task, fold="all").split(), workers=0))
    ras, spl = both
    assert spl["summary"]["orientations"] == {"SPL": 2}
    assert spl["cases"][0]["shape"] == ras["cases"][0]["shape"]
    assert spl["summary"]["spacing_mm"] == ras["summary"]["spacing_mm"]
    assert spl["summary"]["volumes"]["anterior"]["ml_max"] == pytest.approx(
        ras["summary"]["volumes"]["anterior"]["ml_max"]
    )
    assert spl["suggestion"] == ras["suggestion"]


def test_the_suggestion_is_a_preprocess_section(tmp_path: Path) -> None:
    for channel, kind in (("MRI", "zscore"), ("CT", "clipped_zscore")):
        task = write_msd(tmp_path / channel, cases=2, channel_names=(channel,), spacing_mm=(0.78125, 1, 1))
        suggestion = stats(MsdSettings(root=task, fold="all").split(), workers=0)["suggestion"]
        assert PreprocessSettings.model_validate(suggestion["preprocess"]).intensity.name == kind
        assert suggestion["reasons"]["spacing_mm"] == "The median of all cases."
        assert set(suggestion["reasons"]) == {"spacing_mm", "intensity", "crop_foreground"}


def test_bad_cases_are_left_out_by_name(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=3, tests=1)
    (task / "imagesTr/blobs_002.nii.gz").write_bytes(b"nothing")
    split = MsdSettings(root=task, fold="all").split()
    found = stats(split, workers=0)
    assert [one["name"] for one in found["unreadable"]] == ["blobs_002"]
    assert (found["summary"]["cases"], found["summary"]["labelled"]) == (3, 2)
    (row,) = tables(found)[1].rows
    assert row[0] == "blobs_002" and "blobs_002.nii.gz" in row[1]
    for path in (task / "imagesTr").iterdir():
        path.write_bytes(b"nothing")
    (task / "imagesTs/blobs_004.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="no case can be read"):
        stats(split, workers=0)


def test_target_spacing() -> None:
    assert target_spacing_mm([[1, 1, 2], [3, 1, 2]], [[100, 100, 90]] * 2) == [2, 1, 2]
    thick = [[0.8, 0.8, z] for z in (2.5, 5, 5, 5, 5)]
    assert target_spacing_mm(thick, [[512, 512, 100]] * 5) == [0.8, 0.8, 3.5]  # the 10th percentile
    assert target_spacing_mm(thick, [[512, 512, 300]] * 5) == [0.8, 0.8, 5], "enough slices: the median stays"
    fine = [[1.0, 1.0, 0.5], *[[1.0, 1.0, 4.0]] * 3]
    assert target_spacing_mm(fine, [[100, 100, 20]] * 4)[2] >= 1, "never finer than in the plane"


def test_ct_by_name_or_by_air() -> None:
    air, body = [{"range": [[-1024.0, 3000.0]]}], [{"range": [[0.0, 900.0]]}]
    assert is_ct(air, ["image"]) and is_ct(body, ["CT"])
    assert not is_ct(body, ["image"]) and not is_ct(air, ["MRI"]) and not is_ct(air, ["CT", "PET"])
