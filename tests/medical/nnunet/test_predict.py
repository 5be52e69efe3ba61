"""Streamed prediction against everything held at once."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import vol3d
from medical.nnunet import predict
from medical.nnunet.predict import averaged, planes, segment
from medical.nnunet.preprocess import Prepared, prepare
from medical.segment import inference
from tests.medical.nnunet.made import REGIONS, configuration, plans_of, write_model
from tests.medical.nnunet.test_preprocess import noise, scan
from tests.reference.nnunet import resized, window_logits
from vol3d.errors import Vol3dError
from vol3d.scans.volumes.probabilities import temporary, unload

CPU = torch.device("cpu")


def stage_of(folder, **settings):
    return vol3d.load(folder, "cpu", settings).task.cascade.stages[-1]


def logits_of(stage, ready: Prepared) -> torch.Tensor:
    with inference(stage.networks, CPU), torch.inference_mode():
        return torch.cat([slab.scores.clone() for slab in averaged(stage, ready, CPU, None)], dim=1)


def slow_logits(stage, image: np.ndarray) -> torch.Tensor:
    with inference(stage.networks, CPU), torch.inference_mode():
        found = [
            window_logits(network, torch.from_numpy(image), stage.plans.patch, stage.mirror)
            for network in stage.networks
        ]
        return sum(found[1:], found[0]) / len(found)


@pytest.mark.parametrize("mirror", [(0, 2), None])
def test_logits_of_folds_are_those_of_whole_volumes(tmp_path, mirror):
    stage = stage_of(write_model(tmp_path, folds=(0, 1), mirror=mirror))
    ready = prepare(scan(noise(11, 13, 17)), stage.plans)
    got, wanted = logits_of(stage, ready), slow_logits(stage, ready.image)
    assert got.dtype == torch.half
    assert (got != wanted).float().mean() < 0.01  # mirrored views are added in the same order, but for fused sums
    torch.testing.assert_close(got, wanted, atol=0.01, rtol=0.002)


def test_a_large_sum_over_folds_lies_in_a_file(tmp_path, monkeypatch):
    stage = stage_of(write_model(tmp_path, folds=(0, 1)))
    ready = prepare(scan(noise(11, 13, 17)), stage.plans)
    wanted = logits_of(stage, ready)
    monkeypatch.setattr(predict, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert torch.equal(logits_of(stage, ready), wanted)
    assert not list(tmp_path.glob("vol3d-*"))


def test_small_scans_are_padded_in_the_middle(tmp_path):
    stage = stage_of(write_model(tmp_path))
    ready = prepare(scan(noise(3, 4, 5)), stage.plans)
    padded = np.pad(ready.image, ((0, 0), (1, 2), (2, 2), (1, 2)))
    torch.testing.assert_close(logits_of(stage, ready), slow_logits(stage, padded)[:, 1:6, 2:6, 1:4], atol=0.01, rtol=0)


def test_planes_are_resampled_logits(tmp_path):
    stage = stage_of(write_model(tmp_path))
    ready = prepare(scan(noise(9, 10, 12), (0.7, 1.4, 0.9)), stage.plans)
    assert ready.image.shape == (1, 11, 14, 6)
    logits = logits_of(stage, ready)
    with inference(stage.networks, CPU), torch.inference_mode():
        found = dict(planes(stage, ready, CPU))
    assert list(found) == list(range(12))
    got = torch.stack([found[index] for index in range(12)], dim=1).numpy()
    wanted = np.stack([resized(one.float().numpy(), ready.cropped, 1) for one in logits])
    np.testing.assert_allclose(got, wanted, atol=4e-3)


def test_progress_counts_the_windows_of_all_folds(tmp_path):
    stage = stage_of(write_model(tmp_path, folds=(0, 1)))
    seen: list[tuple[int, int]] = []
    segment(stage, scan(noise(12, 8, 8)), CPU, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_regions_paint_over_each_other(tmp_path):
    order = [1, 2, 3]
    stage = stage_of(write_model(tmp_path, labels=REGIONS, regions_class_order=order))
    volume = scan(noise(9, 9, 9))
    ready = prepare(volume, stage.plans)
    mask, _ = segment(stage, volume, CPU)
    logits = logits_of(stage, ready).float().sigmoid().numpy().transpose(0, 3, 2, 1)
    wanted = np.zeros(mask.shape, np.uint8)
    for (i, j, k), (region, label) in product(np.ndindex(mask.shape), enumerate(order)):
        if logits[region, i, j, k] > 0.5:
            wanted[i, j, k] = label
    assert np.array_equal(mask, wanted) and len(np.unique(mask)) > 2


def test_slices_are_predicted_one_by_one(tmp_path):
    stage = stage_of(write_model(tmp_path, plans_of({"2d": configuration(2)}), "2d", mirror=(0, 1)))
    volume = scan(noise(9, 10, 4), (1.0, 1.0, 7.0))
    ready = prepare(volume, stage.plans)
    assert ready.image.shape == (1, 4, 10, 9)
    logits = logits_of(stage, ready)
    for index in range(4):
        alone = Prepared(ready.image[:, index : index + 1], (0, 0, 0), (1, 10, 9), ready.spacing_mm)
        torch.testing.assert_close(logits_of(stage, alone)[:, 0], logits[:, index], atol=0, rtol=0)


def test_outside_of_the_crop_is_background(tmp_path):
    array = np.zeros((12, 9, 9), np.float32)
    array[2:9] = noise(7, 9, 9)
    stage = stage_of(write_model(tmp_path))
    mask, notes = segment(stage, scan(array), CPU)
    assert mask.dtype == np.uint8 and not notes and not mask[:2].any() and not mask[9:].any() and mask.any()


@pytest.mark.bad_input
def test_weights_that_are_not_finite(tmp_path):
    stage = stage_of(write_model(tmp_path))
    with torch.no_grad():
        stage.networks[0].decoder.seg_layers[-1].bias.fill_(float("nan"))
    with pytest.raises(Vol3dError, match="the network's output is not finite"):
        segment(stage, scan(noise(8, 8, 8)), CPU)


def resident_file_pages() -> int:
    """kB of files that are mapped into this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_what_lies_in_a_file_leaves_memory_and_keeps_its_numbers():
    array = np.moveaxis(temporary((64, 1 << 20), np.dtype(np.uint8)), 0, 1)  # 64 MiB
    before = resident_file_pages()
    array[:] = 3
    assert resident_file_pages() > before + 60_000
    unload(array)
    assert resident_file_pages() < before + 4_000 and array.min() == array.max() == 3
    unload(np.zeros(3))  # of memory: stays
