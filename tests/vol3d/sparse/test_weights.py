"""Weight layouts of spconv 1 and 2."""

from __future__ import annotations

import pytest
import torch

from vol3d.errors import CheckpointError, UsageError
from vol3d.sparse import SparseSequential, SubMConv3d, from_spconv, state_from_spconv, state_to_spconv, to_spconv


@pytest.mark.parametrize(("version", "shape"), [(1, (1, 2, 3, 4, 5)), (2, (5, 1, 2, 3, 4))])
def test_layouts(version: int, shape: tuple[int, ...]) -> None:
    weight = torch.randn(1, 2, 3, 4, 5)
    theirs = to_spconv(weight, version)
    assert theirs.shape == shape and theirs.is_contiguous()
    assert torch.equal(from_spconv(theirs, version), weight)


@pytest.mark.parametrize("version", [1, 2])
def test_state_of_a_network(version: int) -> None:
    net = SparseSequential(SubMConv3d(2, 4), torch.nn.BatchNorm1d(4), SubMConv3d(4, 4, (1, 1, 3)))
    state = state_to_spconv(net, version)
    assert list(state) == list(net.state_dict())
    other = SparseSequential(SubMConv3d(2, 4), torch.nn.BatchNorm1d(4), SubMConv3d(4, 4, (1, 1, 3)))
    other.load_state_dict(state_from_spconv(other, state, version))
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_bare_layer_and_a_wrong_version() -> None:
    layer = SubMConv3d(2, 4)
    state = state_to_spconv(layer, 2)
    assert state["weight"].shape == (4, 3, 3, 3, 2)
    with pytest.raises(
        CheckpointError,
        match=r"weight: weight does not fit as spconv 1; got \[4, 3, 3, 3, 2\], wanted \[3, 3, 3, 2, 4\]",
    ):
        state_from_spconv(layer, state, 1)


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="version: no such layout; got 3, wanted 1 or 2"):
        from_spconv(torch.ones(1, 1, 1, 1, 1), 3)
    with pytest.raises(CheckpointError, match=r"weight: not a 3D convolution; got \[3, 3\]"):
        to_spconv(torch.ones(3, 3), 2)
