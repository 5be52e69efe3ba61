"""Precision and convolutions of predictions: the same numbers as torch's own, and only where they fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medical.classes import Classes
from medical.inference import computing, low_precision
from medical.models.unetr import UnetrSettings
from medical.preprocess import PreprocessSettings, Unscaled
from medical.segment import segment
from medical.window import WindowSettings
from vol3d.scans.volumes.volume import Grid, Volume

CPU = torch.device("cpu")


def called(network: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, set[str]]:
    """The output, and which kernels of convolutions were called for it."""
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    with torch.inference_mode(), profile as seen, computing("off", CPU):
        output = network(image)
    return output, {event.key for event in seen.key_averages() if "conv3d" in event.key or "mkldnn" in event.key}


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(3, 5, 3, padding=1),
        nn.Conv3d(4, 6, (1, 3, 5), stride=(1, 2, 3), padding=(0, 1, 2), dilation=(1, 2, 1), groups=2, bias=False),
        nn.Conv3d(2, 3, 1),
        nn.Conv3d(2, 3, 3, padding="same"),
        nn.Conv3d(2, 3, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(2, 3, 1).double(),
    ],
)
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_convolutions_equal_torchs_own(layer: nn.Conv3d, batch: int) -> None:
    torch.manual_seed(0)
    image = torch.randn(batch, layer.in_channels, 7, 8, 9, dtype=layer.weight.dtype)
    with torch.inference_mode():
        wanted = layer(image)
        with computing("off", CPU):
            got = layer(image)
            if batch:
                torch.testing.assert_close(layer(image[0]), wanted[0], rtol=1e-4, atol=1e-5)  # without a batch
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_other_ways_to_call_a_convolution_are_left_alone() -> None:
    image, weight = torch.randn(1, 2, 5, 5, 5), torch.randn(3, 2, 3, 3, 3)
    with torch.inference_mode(), computing("off", CPU):
        torch.testing.assert_close(F.conv3d(image, weight, padding=1), F.conv3d(image, weight, None, 1, 1, 1, 1))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
def test_a_small_window_is_not_left_to_slow_conv3d() -> None:
    torch.manual_seed(0)
    settings = UnetrSettings(patch=8, width=24, depth=2, heads=2, mlp=48, features=4, skips=(1, 2))
    network, image = settings.build(1, 3, (16, 16, 16)).eval(), torch.randn(1, 1, 16, 16, 16)
    with torch.backends.mkldnn.flags(enabled=False):
        slow, kernels = called(network, image)
    assert not any("mkldnn" in kernel for kernel in kernels), "a person's switch is respected"
    fast, kernels = called(network, image)
    assert any("mkldnn" in kernel for kernel in kernels) and not any("slow_conv3d" in kernel for kernel in kernels)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("has", "dtype"), [({"avx512_bf16": True}, torch.bfloat16), ({}, None)])
def test_auto_is_bf16_where_the_processor_has_it(
    has: Mapping[str, bool], dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert low_precision("auto", CPU) is dtype
    assert (low_precision("off", CPU), low_precision("bf16", CPU), low_precision("fp16", CPU)) == (
        None,
        torch.bfloat16,
        torch.float16,
    )
    seen = []

    class Probe(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(F.conv3d(image, torch.ones(2, 1, 1, 1, 1)).dtype)
            return torch.cat([image, -image], dim=1)

    volume = Volume(np.random.default_rng(0).normal(size=(1, 9, 8, 8)).astype(np.float32), Grid((9, 8, 8), np.eye(4)))
    window = WindowSettings(size=(8, 8, 8), amp="auto")
    found = segment(
        [Probe()], volume, PreprocessSettings(intensity=Unscaled()), window, Classes(("background", "a")), CPU
    )
    assert set(seen) == {dtype or torch.float32}
    name = "bfloat16" if dtype else "float32"
    assert [str(note) for note in found.notes] == [f"computed in {name}, as window.amp=auto chose"]
    np.testing.assert_array_equal(found.labels, volume.array[0] < 0)
