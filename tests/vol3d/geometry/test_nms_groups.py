"""Suppression of groups: each group stays what it is alone, in torch, compiled and in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vol3d.geometry.samples import random_boxes
from vol3d.errors import DataError
from vol3d.geometry import nms_circle, nms_rotated
from vol3d.geometry.nms_groups import keep_circle, keep_circle_torch, keep_rotated, keep_rotated_torch

PROJECT = Path(__file__).resolve().parents[3]


def groups_of(groups: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 9, (groups, count), generator=generator).sort(descending=True).values / 9
    there = torch.rand(groups, count, generator=generator) < 0.7
    return random_boxes(groups * count, seed).view(groups, count, 7), scores, there


@settings(max_examples=30, deadline=None)
@given(groups=st.integers(0, 3), count=st.integers(0, 25), seed=st.integers(0, 99), most=st.sampled_from([None, 1, 4]))
def test_each_group_is_suppressed_as_if_alone(groups: int, count: int, seed: int, most: int | None) -> None:
    boxes, scores, there = groups_of(groups, count, seed)
    radii = torch.rand(groups).mul(20).tolist()
    rotated = keep_rotated(boxes, scores, there, 0.1, max_candidates=6, max_kept=most)
    circle = keep_circle(boxes, scores, there, radii, max_kept=most)
    for group in range(groups):
        rows = there[group].nonzero()[:, 0]
        alone = nms_rotated(boxes[group, rows], scores[group, rows], 0.1, max_candidates=6)[:most]
        assert rotated[group].nonzero()[:, 0].tolist() == rows[alone].tolist()
        alone = nms_circle(boxes[group, rows], scores[group, rows], radii[group], compare="squared_distance")[:most]
        assert circle[group].nonzero()[:, 0].tolist() == rows[alone].tolist()
    assert torch.equal(keep_rotated_torch(boxes, there, 0.1), keep_rotated(boxes, scores, there, 0.1))
    assert torch.equal(keep_circle_torch(boxes, there, tuple(radii)), keep_circle(boxes, scores, there, radii))


def test_kernels_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="no Triton on this system")
    run("cpu", TRITON_INTERPRET="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_kernels_on_the_gpu() -> None:
    run("cuda")


def run(device: str, **environment: str) -> None:
    command = [sys.executable, "-m", "tests.vol3d.geometry.nms_checks", device]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.stdout.strip() == "same", done.stdout + done.stderr[-2000:]


@pytest.mark.bad_input
def test_what_does_not_fit_is_refused() -> None:
    boxes, scores, there = groups_of(2, 5, 0)
    with pytest.raises(DataError, match=r"boxes: groups that do not fit together.*there torch.bool \(2, 4\)"):
        keep_rotated(boxes, scores, there[:, :4], 0.5)
    with pytest.raises(DataError, match=r"iou_threshold: not an IoU threshold; got 1.5"):
        keep_rotated(boxes, scores, there, 1.5)
    with pytest.raises(DataError, match=r"squared_radii: not the radii of the groups; got \(1.0,\)"):
        keep_circle(boxes, scores, there, (1.0,))
    boxes[1, 0, 0] = torch.nan
    there[1, 0] = True
    with pytest.raises(DataError, match="not finite"):
        keep_rotated(boxes, scores, there, 0.5)
