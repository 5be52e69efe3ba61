"""Numbers on their way between the host and a device."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vol3d.host import constant, fetch, joined, parted, send

PARTS = [
    torch.tensor([[1.5, -2.0, torch.inf]]),
    torch.arange(4),
    torch.tensor([True, False, True]),
    torch.zeros(0, 7, dtype=torch.float64),
    torch.tensor(3, dtype=torch.int16),
    torch.tensor([0.1, 0.2], dtype=torch.bfloat16),
    torch.rand(5, 4, dtype=torch.float64).T,  # not contiguous
]


def same(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return len(found) == len(wanted) and all(
        a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all()) for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("parts", [PARTS, PARTS[::-1], PARTS[:1], PARTS[3:4]])
def test_bytes_of_any_types_come_apart_as_they_were(parts: list[Tensor]) -> None:
    assert same(parted(joined(parts), parts), parts)


def test_what_lies_on_the_host_is_fetched_as_it_is() -> None:
    assert fetch() == []
    assert same(fetch(*PARTS), PARTS)
    value = torch.ones(2, requires_grad=True)
    (found,) = fetch(value)
    assert not found.requires_grad


def test_each_tensor_arrives_in_its_place() -> None:
    assert same(send(PARTS, torch.device("cpu")), PARTS)
    there = send([*PARTS, torch.empty(2, device="meta")], torch.device("meta"))
    assert [(t.shape, t.dtype) for t in there[:-1]] == [(t.shape, t.dtype) for t in PARTS]
    assert {t.device.type for t in there} == {"meta"}


def test_a_constant_takes_the_type_of_what_it_meets() -> None:
    assert constant((1, 2), torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
    assert constant((1, 2), torch.zeros(1), torch.int32).tolist() == [1, 2]
