"""Every module with shapes in its annotations is checked, in this process and in workers, or excepted with a reason."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from tests import shapes
from vol3d.errors import DataError
from vol3d.geometry import iou_3d


def test_exceptions_are_not_stale_and_have_a_reason() -> None:
    assert set(shapes.UNCHECKED) <= set(shapes.annotated())
    assert all(shapes.UNCHECKED.values())


@pytest.mark.parametrize("name", shapes.annotated())
def test_every_annotated_module_is_checked_or_excepted(name: str) -> None:
    loader = importlib.import_module(name).__loader__
    checked = type(loader).__module__.startswith("jaxtyping")
    assert checked == (name not in shapes.UNCHECKED)


def test_a_wrong_shape_is_refused_and_bad_input_meets_the_functions_own_check() -> None:
    with pytest.raises(TypeCheckError, match="first"):
        iou_3d(torch.zeros(7), torch.zeros(1, 7))
    with shapes.unchecked(), pytest.raises(DataError, match="do not fit together"):
        iou_3d(torch.zeros(7), torch.zeros(1, 7))
    with pytest.raises(TypeCheckError, match="first"):
        iou_3d(torch.zeros(7), torch.zeros(1, 7))


def test_a_module_imported_too_early_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vol3d.geometry.iou" in sys.modules
    with pytest.raises(RuntimeError, match=r"before its shapes could be checked: .*vol3d\.geometry\.iou"):
        shapes.install()
