"""Windows and halvings: nnU-Net's own plans, and what must hold for any spacing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical.models.residual_unet import ResidualUnetSettings
from medical.planning.topology import MIN_EDGE, first_window, shrunk, topology_of

edges = st.tuples(*[st.integers(1, 200)] * 3)
spacings = st.tuples(*[st.floats(0.3, 8)] * 3)


def test_strides_and_kernels_of_nnunets_own_plans(oracle_root: Path):
    # The strides of the other data set were cut by hand, as the README beside it says.
    files = sorted((oracle_root / "nnunet").glob("Dataset004*/*/plans.json"))
    if not files:
        pytest.skip(f"no plans in {oracle_root}")
    compared = 0
    for file in files:
        for name, stated in json.loads(file.read_text())["configurations"].items():
            if len(stated.get("patch_size", ())) != 3 or "architecture" not in stated:
                continue
            found = topology_of(stated["spacing"], tuple(stated["patch_size"]))
            known = stated["architecture"]["arch_kwargs"]
            assert found.window == tuple(stated["patch_size"]), (file, name)
            assert [list(one) for one in found.strides] == known["strides"], (file, name)
            assert [list(one) for one in found.kernels] == known["kernel_sizes"], (file, name)
            compared += 1
    assert compared


def test_thick_slices_are_left_alone_until_the_plane_is_as_coarse():
    found = topology_of((0.8, 0.8, 5), (320, 320, 20))
    assert found.strides[1:4] == ((2, 2, 1), (2, 2, 1), (2, 2, 2))
    assert found.kernels[:3] == ((3, 3, 1), (3, 3, 1), (3, 3, 3))


def test_slices_are_never_mixed():
    assert {kernel[2] for kernel in topology_of((1, 1, 1), (64, 64, 1)).kernels[-1:]} == {1}


@given(spacings, edges)
def test_any_scan_gives_a_network_that_fits_its_window(spacing, window):
    found = topology_of(spacing, window)
    steps = [math.prod(axis) for axis in zip(*found.strides, strict=True)]
    assert len(found.kernels) == len(found.strides)
    assert all(edge % step == 0 for edge, step in zip(found.window, steps, strict=True))
    assert all(0 <= whole - edge < step for whole, edge, step in zip(found.window, window, steps, strict=True))
    assert all(whole // step >= MIN_EDGE for whole, step in zip(found.window, steps, strict=True) if step > 1)
    if len(found.strides) > 1:
        ResidualUnetSettings(
            features=(2,) * len(found.strides),
            kernels=found.kernels,
            strides=found.strides,
            blocks=(1,) * len(found.strides),
        )


@given(spacings, edges)
def test_shrunk_windows_are_smaller_and_multiples(spacing, shape):
    window = topology_of(spacing, first_window(spacing, shape)).window
    steps = tuple(math.prod(axis) for axis in zip(*topology_of(spacing, window).strides, strict=True))
    for less in shrunk(window, shape, steps):
        assert math.prod(less) < math.prod(window) and min(less) >= 1
        assert all(edge % step == 0 for edge, step in zip(less, steps, strict=True))


def test_the_first_window_is_as_long_in_every_direction():
    window = first_window((1, 2, 4), (1000, 1000, 1000))
    assert window == (512, 256, 128)
    assert first_window((1, 1, 1), (30, 40, 0.4)) == (30, 40, 1)
