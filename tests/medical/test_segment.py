"""Labels of whole scans: on the scan's own grid, the same as without slabs, in little memory."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medical import segment as segment_module
from medical.classes import Classes
from medical.preprocess import PreprocessSettings, Unscaled, Window, prepare
from medical.segment import average, segment
from medical.window import WindowSettings, stream
from tests.medical.synthetic import blobs, ras_affine
from tests.reference.segment import slow_labels
from vol3d.errors import DataError, Vol3dError
from vol3d.scans.volumes.grid import reorient
from vol3d.scans.volumes.volume import Grid, Volume

CPU = torch.device("cpu")
NAMES = Classes(("background", "a", "b"))
RAW = PreprocessSettings(intensity=Unscaled())
SMALL = WindowSettings(size=(8, 8, 8))


class Thresholds(nn.Module):
    """Class by intensity: sharp logits around 0, 100 and 200."""

    def __init__(self, levels: tuple[float, ...] = (0.0, 100.0, 200.0)) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor(levels).view(1, -1, 1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return -((image[:, :1] - self.levels) ** 2) / 500


def scan(code: str = "RAS", spacing: tuple[float, float, float] = (1, 1, 1)) -> tuple[Volume, np.ndarray]:
    _, label = blobs((20, 26, 18))
    volume = Volume(100.0 * label[None].astype(np.float32), Grid((20, 26, 18), ras_affine(spacing, tilt_deg=12)))
    turned = reorient(volume, code)
    return turned, (turned.array[0] / 100).astype(np.uint8)


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR", "PIR", "ILP"])
def test_labels_stand_on_the_grid_of_the_scan(code: str) -> None:
    volume, truth = scan(code)
    result = segment([Thresholds()], volume, RAW, SMALL, NAMES, CPU)
    np.testing.assert_array_equal(result.labels, truth)
    assert result.labels.dtype == np.uint8 and result.grid is volume.grid and result.class_names == NAMES.names


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR", "PIR"])
@pytest.mark.parametrize("spacing", [(1.7, 1.3, 2.2), (0.6, 0.7, 0.55), (1.0, 2.0, 0.5), (30.0, 1.0, 1.0)])
def test_resampling_equals_the_slow_twin(code: str, spacing: tuple[float, float, float]) -> None:
    volume, _ = scan(code)
    noisy = volume.with_array(volume.array + np.random.default_rng(0).normal(0, 20, volume.array.shape).astype("f4"))
    settings = PreprocessSettings(intensity=Unscaled(), spacing_mm=spacing)
    ready = prepare(noisy, settings)
    slabs = [
        s.scores.clone() for s in stream(average([Thresholds()], SMALL, 3), torch.from_numpy(ready.array), SMALL, CPU)
    ]
    axis = next(s.axis for s in stream(Thresholds(), torch.from_numpy(ready.array), SMALL, CPU))
    probabilities = torch.cat(slabs, axis + 1).softmax(0).detach().numpy()
    wanted = slow_labels(probabilities, ready.grid, volume.grid)
    got = segment([Thresholds()], noisy, settings, SMALL, NAMES, CPU).labels
    assert (got != wanted).mean() < 1e-3, "only ties may differ"


def test_what_was_cropped_is_background() -> None:
    array = np.full((1, 16, 14, 12), -1000.0, np.float32)
    array[0, 4:10, 3:9, 2:8] = 100.0
    volume = Volume(array, Grid((16, 14, 12), ras_affine()))
    settings = PreprocessSettings(intensity=Window(low=-500, high=500), crop_foreground=True)
    result = segment([Thresholds((-9.0, 0.6, 9.0))], volume, settings, SMALL, NAMES, CPU)
    assert result.labels[4:10, 3:9, 2:8].all()
    outside = result.labels.copy()
    outside[3:11, 2:10, 1:9] = 0
    assert not outside.any()


def test_regions_write_the_last_one_present() -> None:
    classes = Classes(("background", "rim", "core"), {"whole": ("rim", "core"), "core": ("core",)})

    class Sigmoids(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.cat([image - 50, image - 150], dim=1)

    volume, truth = scan("LPS")
    result = segment([Sigmoids()], volume, RAW, SMALL, classes, CPU)
    np.testing.assert_array_equal(result.labels, truth)
    assert dict(result.regions) == {"whole": (1, 2), "core": (2,)}


def test_ensembles_and_mirrors_are_averaged_before_the_decision() -> None:
    torch.manual_seed(0)
    models = [nn.Conv3d(1, 3, 3, padding=1) for _ in range(2)]
    window, image = WindowSettings(size=(8, 8, 8), mirror_axes=(0, 2)), torch.randn(2, 1, 8, 8, 8)
    with torch.no_grad():
        got = average(models, window, 3)(image)
        flips = [(), (2,), (4,), (2, 4)]
        wanted = torch.stack([m(image.flip(f)).flip(f) for m in models for f in flips]).mean(0)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


class OnGpu(torch.Tensor):
    """A CPU tensor that says it is on a GPU."""

    is_cuda = True  # type: ignore[assignment]


def test_a_gpu_is_given_all_mirrored_views_at_once_or_as_many_as_fit() -> None:
    torch.manual_seed(0)
    network, batches, room = nn.Conv3d(1, 3, 3, padding=1), [], [0]

    def scarce(image: torch.Tensor) -> torch.Tensor:
        batches.append(len(image))
        if len(image) > 2 * room[0]:
            raise torch.OutOfMemoryError("out of memory")
        return network(image)

    window, image = WindowSettings(size=(8, 8, 8), mirror_axes=(0, 1, 2)), torch.randn(2, 1, 8, 8, 8)
    with torch.no_grad():
        wanted = average([network], window, 3)(image)
        for most, tried in ((8, [16, 16]), (2, [16, 8, 4, 4, 4, 4, 4, 4, 4, 4]), (1, [16, 8, 4, *[2] * 16])):
            batches.clear()
            room[0] = most
            predict = average([scarce], window, 3)  # type: ignore[list-item]
            for _ in range(2):  # what did not fit is not tried again
                got = predict(image.as_subclass(OnGpu)).as_subclass(torch.Tensor)
                torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
            assert batches == tried
        room[0] = 0
        with pytest.raises(torch.OutOfMemoryError):
            average([scarce], window, 3)(image.as_subclass(OnGpu))  # type: ignore[list-item]


def test_models_come_back_as_they_were() -> None:
    volume, _ = scan()
    model = Thresholds().train()
    segment([model], volume, RAW, SMALL, NAMES, CPU)
    assert model.training
    with pytest.raises(ValueError, match="at least one network"):
        segment([], volume, RAW, SMALL, NAMES, CPU)
    with pytest.raises(ValueError, match=r"output must be \(1, 4, 8, 8, 8\), got \(1, 3, 8, 8, 8\)"):
        segment([model], volume, RAW, SMALL, Classes(("background", "a", "b", "c")), CPU)
    assert model.training


def test_an_output_that_is_not_finite_is_no_label() -> None:
    with pytest.raises(Vol3dError, match="output is not finite"):
        segment([Thresholds((0.0, float("inf"), 1.0))], scan()[0], RAW, SMALL, NAMES, CPU)


def test_too_little_memory_is_tried_with_less_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    volume, truth = scan()
    tried: list[tuple[str, int]] = []
    whole = segment_module._segment

    def scarce(models, volume, ready, window, classes, device, progress, *rest):  # type: ignore[no-untyped-def]
        tried.append((device.type, window.batch))
        if device.type == "cuda":
            raise torch.cuda.OutOfMemoryError("out of memory")
        return whole(models, volume, ready, window, classes, device, progress, *rest)

    monkeypatch.setattr(segment_module, "_segment", scarce)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    window = WindowSettings(size=(8, 8, 8), batch=4)
    with caplog.at_level(logging.WARNING):
        result = segment([Thresholds()], volume, RAW, window, NAMES, torch.device("cuda"))
    assert tried == [("cuda", 4), ("cuda", 1), ("cpu", 1)]
    assert len(caplog.records) == 2 and "too little memory" in str(result.notes[0])
    np.testing.assert_array_equal(result.labels, truth)


def test_amp_gives_nearly_the_same() -> None:
    volume, truth = scan()
    window = WindowSettings(size=(8, 8, 8), amp="bf16")
    assert (segment([Thresholds()], volume, RAW, window, NAMES, CPU).labels == truth).mean() > 0.99


def test_progress_counts_windows() -> None:
    seen: list[tuple[int, int]] = []
    segment([Thresholds()], scan()[0], RAW, SMALL, NAMES, CPU, lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 1 and seen[-1] == (len(seen), len(seen))


def test_a_scan_that_does_not_fit_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("vol3d.memory.free_memory", lambda: 1000)

    def never(windows):
        raise AssertionError("the network was asked")

    volume = Volume(np.zeros((1, 20, 20, 20), np.float32), Grid((20, 20, 20), np.eye(4)))
    fine = PreprocessSettings(spacing_mm=(0.5, 0.5, 0.5))
    with pytest.raises(DataError, match=r"does not fit into memory; got \(20, 20, 20\) voxels, \(40, 40, 40\) for"):
        segment([never], volume, fine, WindowSettings(size=(8, 8, 8)), Classes(("b", "a")), torch.device("cpu"))
