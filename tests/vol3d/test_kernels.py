"""Kernels are launched on the GPU of their tensors, whichever is the current one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from vol3d.kernels import on_its_device


class OnSecondGpu(torch.Tensor):
    """A tensor that says it lies on the second GPU."""

    is_cuda = True  # type: ignore[assignment]
    device = torch.device("cuda:1")  # type: ignore[assignment]


def test_the_device_of_the_first_tensor_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []

    @contextmanager
    def device(chosen: torch.device) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    seen = on_its_device(lambda first, more: (list(current), more))
    there = torch.zeros(2).as_subclass(OnSecondGpu)
    assert seen(there, 3) == seen((there, 5), more=3) == ([torch.device("cuda:1")], 3)
    assert seen(torch.zeros(2), 3) == ([], 3) and not current


def test_without_cuda_nothing_is_asked_of_it() -> None:
    assert on_its_device(lambda first: first.shape)(torch.zeros(2, 3)) == (2, 3)
