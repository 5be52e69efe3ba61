"""Streaming windows: the same numbers as MONAI, whatever the shape, and never more than one slab."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from pydantic import ValidationError
from torch import Tensor, nn

from medical.window import WindowSettings, stream, streaming_axis, window_starts, window_weights
from tests.reference.window import slow_starts, slow_stitch

CPU = torch.device("cpu")


def network(channels: int, outputs: int) -> nn.Module:
    """Every output depends on its place in the window, so a wrong seam shows."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(channels, 4, 3, padding=1), nn.GELU(), nn.Conv3d(4, outputs, 3, padding=1)
    ).requires_grad_(False)


def whole(predict: nn.Module, image: Tensor, how: WindowSettings) -> Tensor:
    slabs = [(slab.axis, slab.start, slab.stop, slab.scores.clone()) for slab in stream(predict, image, how, CPU)]
    axis = slabs[0][0]
    assert slabs[0][1] == 0 and slabs[-1][2] == image.shape[axis + 1]
    assert all(a[2] == b[1] for a, b in itertools.pairwise(slabs))
    assert all(stop - start == scores.shape[axis + 1] for _, start, stop, scores in slabs)
    return torch.cat([scores for *_, scores in slabs], dim=axis + 1)


@pytest.mark.parametrize("blend", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("shape", [(20, 31, 17), (12, 8, 30), (7, 5, 3), (8, 12, 10), (40, 9, 11), (1, 1, 1)])
def test_equals_monai(shape: tuple[int, int, int], overlap: float, blend: str) -> None:
    net, image = network(2, 5), torch.randn(2, *shape)
    how = WindowSettings(size=(8, 12, 10), overlap=overlap, blend=blend, placement="stride", batch=3)
    wanted = sliding_window_inference(image[None], how.size, 2, net, overlap=overlap, mode=blend)[0]
    torch.testing.assert_close(whole(net, image, how), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(20, 31, 17), (7, 5, 3), (30, 30, 9)])
def test_even_placement_equals_slow_twin(shape: tuple[int, int, int]) -> None:
    net, image = network(1, 3), torch.randn(1, *shape)
    how = WindowSettings(size=(8, 12, 10))
    torch.testing.assert_close(whole(net, image, how), slow_stitch(net, image, how), atol=1e-5, rtol=1e-4)


@given(length=st.integers(1, 200), size=st.integers(1, 64), overlap=st.floats(0, 0.95))
def test_even_starts_cover_and_respect_the_step(length: int, size: int, overlap: float) -> None:
    starts = window_starts(length, size, overlap, "even")
    assert starts == slow_starts(length, size, overlap)
    assert starts[0] == 0 and starts[-1] == max(length - size, 0)
    steps = [b - a for a, b in itertools.pairwise(starts)]
    assert all(0 < step <= max(size * (1 - overlap), 1) + 1 and step <= size for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


def test_even_starts_of_nnunet() -> None:
    assert window_starts(110, 64, 0.5, "even") == [0, 23, 46]
    assert window_starts(110, 64, 0.5, "stride") == [0, 32, 46]
    assert window_starts(64, 64, 0.5, "even") == [0]


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(1, 24)] * 3), st.integers(1, 5))
def test_constant_network_is_kept_exactly(shape: tuple[int, int, int], batch: int) -> None:
    how = WindowSettings(size=(8, 6, 10), batch=batch)
    counted: list[tuple[int, int]] = []
    slabs = [
        s.scores.clone()
        for s in stream(
            lambda w: torch.full((len(w), 2, *w.shape[2:]), 3.0),
            torch.zeros(1, *shape),
            how,
            CPU,
            lambda done, total: counted.append((done, total)),
        )
    ]
    assert all(torch.allclose(s, torch.tensor(3.0)) for s in slabs)
    assert sum(s[0].numel() for s in slabs) == shape[0] * shape[1] * shape[2]
    padded = [max(n, size) for n, size in zip(shape, how.size, strict=True)]
    counts = [len(window_starts(n, size, 0.5, "even")) for n, size in zip(padded, how.size, strict=True)]
    assert counted[-1] == (math.prod(counts),) * 2


def test_weights_are_those_of_monai() -> None:
    from monai.data.utils import compute_importance_map

    for size in [(96, 96, 96), (7, 8, 33), (1, 2, 3)]:
        wanted = compute_importance_map(size, mode="gaussian")
        torch.testing.assert_close(window_weights(size, "gaussian"), wanted)
    assert window_weights((64, 64, 64), "gaussian").min() == pytest.approx(1e-3)


def test_streams_along_the_axis_with_the_smallest_slab() -> None:
    assert streaming_axis((512, 512, 600), (96, 96, 96)) == 2
    assert streaming_axis((300, 100, 100), (64, 64, 64)) == 0
    assert streaming_axis((100, 100, 100), (64, 64, 16)) == 2


def test_buffer_is_one_slab() -> None:
    """The scores handed out are a view of one buffer as deep as one window."""
    image, how = torch.zeros(1, 64, 8, 8), WindowSettings(size=(8, 8, 8))
    homes = {slab.scores.untyped_storage().data_ptr() for slab in stream(network(1, 3), image, how, CPU)}
    sizes = {slab.scores.untyped_storage().nbytes() for slab in stream(network(1, 3), image, how, CPU)}
    assert len(homes) == 1 and sizes == {3 * 8 * 8 * 8 * 4}


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"size": (0, 8, 8)}, "size"),
        ({"overlap": 1.0}, "overlap"),
        ({"mirror_axes": (1, 1)}, "mirror_axes"),
        ({"mirror_axes": (3,)}, "mirror_axes"),
        ({"placement": "odd"}, "placement"),
        ({"batch": 0}, "batch"),
    ],
)
def test_bad_settings_are_named(bad: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        WindowSettings(**bad)


def test_one_window_is_the_network_alone() -> None:
    net, image = network(2, 5), torch.randn(2, 8, 12, 10)
    how = WindowSettings(size=(8, 12, 10), overlap=0.5, batch=3)
    torch.testing.assert_close(whole(net, image, how), net(image[None])[0], atol=1e-6, rtol=1e-6)
