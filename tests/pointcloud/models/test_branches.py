"""Branches joined into two convolutions compute what each computes alone."""

from __future__ import annotations

import copy

import pytest
import torch

from pointcloud.models.center_point import head as module
from pointcloud.models.center_point.head import CenterHead, CenterHeadSettings
from pointcloud.models.layers.branches import joinable, joined

NAMES = ("car", "truck", "bus", "barrier", "bicycle")


def head(velocity: bool) -> CenterHead:
    torch.manual_seed(0)
    settings = CenterHeadSettings(tasks=(NAMES[:1], NAMES[1:]), velocity=velocity, shared_width=6, width=5)
    made = CenterHead(3, NAMES, settings)
    for norm in (m for m in made.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
        torch.nn.init.uniform_(norm.bias), torch.nn.init.uniform_(norm.running_mean)
    return made


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("velocity", "batch"), [(True, 2), (False, 1)])
def test_values_gradients_and_statistics(
    training: bool, velocity: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = head(velocity).train(training)
    together = copy.deepcopy(alone)
    x, y = (torch.randn(batch, 3, 6, 7, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    wanted = alone(x)
    monkeypatch.setattr(module, "joinable", lambda *_: True)
    found = together(y)
    for one, other in zip(found, wanted, strict=True):
        assert (one.velocity is None) == (not velocity)
        for name, value in other._asdict().items():
            if value is not None:
                torch.testing.assert_close(getattr(one, name), value)
    for outputs in (wanted, found):
        sum((out.code().square().sum() + out.heatmap.sin().sum()) for out in outputs).backward()
    torch.testing.assert_close(y.grad, x.grad, rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(together.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(
            one.grad, other.grad, rtol=1e-4, atol=1e-4, msg=lambda text, at=name: f"{at}: {text}"
        )
    for (name, one), other in zip(together.named_buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, at=name: f"{at}: {text}")


def test_only_branches_that_are_alike_and_on_a_gpu_are_joined() -> None:
    made = head(True)
    branches = list(made.tasks[0].outputs.values())
    assert not joinable(torch.ones(1), branches)  # on a CPU
    there = torch.ones(1, device="meta")
    assert joinable(there, branches)
    branches[1][0][1].eval()  # frozen
    assert not joinable(there, branches)


def test_an_empty_batch() -> None:
    made = head(True).eval()
    branches = list(made.tasks[0].outputs.values())
    assert joined(torch.zeros(0, 6, 4, 4), branches)[0].shape == (0, 1, 4, 4)
