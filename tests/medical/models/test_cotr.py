"""CoTr: sizes of the authors' network, its attention and positions against slow twins, and the rows of its tables."""

import math

import pytest
import torch
from pydantic import ValidationError

from medical.models.cotr import CotrSettings, DeformableAttention, cell_centers, sample_maps, sine_encoding
from tests.reference import deformable3d
from vol3d.errors import UsageError

SMALL = CotrSettings(channels=(4, 6), blocks=(1, 2, 1), width=12, depth=2, heads=2, points=2, mlp=16)


@pytest.mark.parametrize(
    ("change", "count"),
    [
        # The authors' code has 41,871,088 for 12 classes; 7,716 of them supervise the decoder's coarser maps.
        ({}, 41_871_088 - 7_716),
        # 20,500,800 are the CNN; in its place two linear maps, of 4 x 8 x 8 and of 8 x 16 x 16 voxels to 384 channels.
        ({"encoder": "patches"}, 41_863_372 - 20_500_800 + 384 * (4 * 8 * 8 + 8 * 16 * 16 + 2)),
    ],
)
def test_parameter_counts_of_the_authors_network(change, count):
    with torch.device("meta"):
        network = CotrSettings(**change).build(1, 12, (192, 192, 48))
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("change", [{}, {"scales": 1}, {"encoder": "patches"}, {"authors_code": True}])
def test_every_parameter_takes_part(change):
    torch.manual_seed(0)
    network = SMALL.model_copy(update=change).build(2, 3, (32, 32, 16))
    network(torch.randn(1, 2, 32, 32, 16)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("change", [{}, {"encoder": "patches"}])
def test_any_window_of_whole_cells(change):
    network = SMALL.model_copy(update=change).build(1, 2, (32, 32, 16)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 1, 16, 48, 8)).shape == (2, 2, 16, 48, 8)
    with pytest.raises(UsageError, match=r"got \(16, 16, 12\), wanted multiples of \(16, 16, 8\)"):
        network(torch.zeros(1, 1, 16, 16, 12))
    isotropic = SMALL.model_copy(update=change | {"stem_stride": (2, 2, 2)})
    with pytest.raises(UsageError, match=r"multiples of \(16, 16, 16\)"):
        isotropic.build(1, 2, (16, 16, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "multiple of heads, got 12 and 5"),
        ({"blocks": (0, 1, 1)}, "at least 1"),
        ({"encoder": "patches", "scales": 1}, "patches needs scales 2"),
        ({"width": 10}, "multiple of 6"),
    ],
)
def test_settings_refuse(change, message):
    with pytest.raises(ValidationError, match=message):
        CotrSettings(**(SMALL.model_dump() | change))


def test_samples_equal_the_slow_twin_in_value_and_gradient():
    torch.manual_seed(1)
    sizes = [(3, 2, 4), (1, 2, 1)]
    values = torch.randn(2, 26, 2, 3, requires_grad=True)
    places = torch.rand(2, 4, 2, 2, 3, 3) * 1.6 - 0.3  # some outside
    weights = torch.rand(2, 4, 2, 2, 3, requires_grad=True)
    places.requires_grad_()
    fast = sample_maps(values, sizes, places, weights)
    slow = deformable3d.sample_maps(values, sizes, places, weights)
    torch.testing.assert_close(fast, slow)
    pull = torch.randn_like(fast)
    inputs = (values, places, weights)
    for mine, theirs in zip(
        torch.autograd.grad(fast, inputs, pull), torch.autograd.grad(slow, inputs, pull), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_samples_of_no_query():
    found = sample_maps(torch.randn(1, 8, 2, 3), [(2, 2, 2)], torch.zeros(1, 0, 2, 1, 1, 3), torch.zeros(1, 0, 2, 1, 1))
    assert found.shape == (1, 0, 6)


@pytest.mark.parametrize("authors_code", [False, True])
def test_a_query_looks_at_its_own_cell_or_as_the_authors_code_with_axes_exchanged(authors_code):
    settings = SMALL.model_copy(update={"scales": 1, "authors_code": authors_code})
    attention = DeformableAttention(settings)
    with torch.no_grad():
        attention.offsets.bias.zero_()
        for linear in (attention.values, attention.output):
            linear.weight.copy_(torch.eye(12))
    cells = torch.randn(1, 27, 12)
    with torch.no_grad():
        found = attention(torch.randn(1, 27, 12), cells, cell_centers((3, 3, 3), cells.device), [(3, 3, 3)])
    own = cells.unflatten(1, (3, 3, 3))
    wanted = own.permute(0, 2, 3, 1, 4) if authors_code else own  # at (i, j, k) the cell (k, i, j)
    torch.testing.assert_close(found, wanted.flatten(1, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("by_three", "step"), [(False, 2), (True, 3)])
def test_positions_equal_the_formula(by_three, step):
    found = sine_encoding((2, 3, 1), 12, by_three, torch.device("cpu")).unflatten(0, (2, 3, 1))
    place = (1, 2, 0)
    wanted = []
    for cell, size in ((place[2], 1), (place[1], 3), (place[0], 2)):
        position = 2 * math.pi * (cell + 0.5) / size
        for channel in range(4):
            angle = position / 10000 ** (step * (channel // step) / 4)
            wanted.append(math.cos(angle) if channel % 2 else math.sin(angle))
    torch.testing.assert_close(found[place], torch.tensor(wanted), rtol=1e-5, atol=1e-5)
