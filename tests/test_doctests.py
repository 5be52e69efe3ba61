"""Examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import importlib
from types import ModuleType

import pytest

MODULES = (
    "vol3d.geometry.boxes",
    "vol3d.geometry.giou",
    "vol3d.geometry.iou",
    "vol3d.geometry.nms",
    "vol3d.geometry.points_in_boxes",
    "vol3d.matching.assignment",
    "vol3d.ops.neighbors",
    "vol3d.ops.sampling",
    "vol3d.ops.scatter",
    "vol3d.ops.voxels",
    "vol3d.scans.paths",
    "vol3d.scans.results.detections",
    "vol3d.scans.volumes.orientation",
    "vol3d.sparse.tensor",
)


class Finder(doctest.DocTestFinder):
    """Finds a module's functions under the checks of their shapes, too."""

    def _from_module(self, module: ModuleType | None, found: object) -> bool:
        return module is None or getattr(found, "__module__", None) == module.__name__


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in Finder(exclude_empty=True).find(module):
        runner.run(test)
    assert runner.tries and not runner.failures
