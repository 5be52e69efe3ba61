"""Short drives with a recipe, and trained teachers: made once for all tests of distillation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.pointcloud.distill.small import CENTER, CPU, RECIPE, taught
from vol3d.config import load_task
from vol3d.engine.loop import train


@pytest.fixture(scope="session")
def recipe(short_drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("distill") / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(short_drives)))
    return path


@pytest.fixture(scope="session")
def teacher(recipe: Path) -> str:
    folder = recipe.parent / "teacher"
    train(load_task(recipe, ["train.seed=7", "model.head.queries=36"]), folder, device=CPU)
    return str(folder)


@pytest.fixture(scope="session")
def student(recipe: Path, teacher: str) -> Path:
    """The run of a student, which nobody changes."""
    folder = recipe.parent / "student"
    train(taught(recipe, teacher), folder, device=CPU)
    return folder


@pytest.fixture(scope="session")
def detector(recipe: Path) -> str:
    """A CenterPoint: it predicts no set."""
    folder = recipe.parent / "center"
    train(load_task(recipe, [CENTER, "train.epochs=1"]), folder, device=CPU)
    return str(folder)
