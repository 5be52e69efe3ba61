"""Short drives with a recipe, and trained teachers: made once for all tests of distillation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pointcloud.generate.drives.write import write_drives
from tests.pointcloud.distill.small import CENTER, CPU, RECIPE
from vol3d.config import load_task
from vol3d.engine.loop import train


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("distill")
    write_drives(root / "drives", 2, seed=3, workers=0, seconds=1)
    path = root / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root / "drives")))
    return path


@pytest.fixture(scope="session")
def teacher(recipe: Path) -> str:
    folder = recipe.parent / "teacher"
    train(load_task(recipe, ["train.seed=7", "model.head.queries=36"]), folder, device=CPU)
    return str(folder)


@pytest.fixture(scope="session")
def detector(recipe: Path) -> str:
    """A CenterPoint: it predicts no set."""
    folder = recipe.parent / "center"
    train(load_task(recipe, [CENTER, "train.epochs=1"]), folder, device=CPU)
    return str(folder)
