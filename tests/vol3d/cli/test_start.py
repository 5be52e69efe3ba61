"""What a prediction must not wait for: a whole command of each kind, and what it has loaded when it is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medical.demo import SAMPLES
from tests.conftest import PROJECT
from tests.pointcloud.synthetic import room

# What training, evaluation, pictures and other formats need, and seconds to import.
ELSEWHERE = {
    *("monai", "matplotlib", "scipy.spatial", "scipy.ndimage", "scipy.optimize", "pandas", "pyarrow", "sklearn"),
    *("SimpleITK", "highdicom", "open3d", "laspy", "spconv", "tensorboard", "torch.utils.tensorboard"),
    *("torch._dynamo", "torch._inductor", "torchvision", "huggingface_hub"),
}
OF_POINTS = {"numba", "llvmlite", "scipy.linalg", "pointcloud"}
OF_VOLUMES = {"nibabel", "pydicom", "medical"}
CODE = "import sys; from vol3d.cli.main import main; codes = [main(words.split('|')) for words in sys.argv[1:]]; "
CODE += "print(*sys.modules); sys.exit(max(codes))"


def scan(kind: str, folder: Path) -> Path:
    """A small input of one kind."""
    if kind == "volume":
        return min((SAMPLES / "imagesTr").glob("*.nii.gz"))
    points = room(0)[0]
    if kind == "sweep":
        points = np.column_stack([points * [5, 5, 1] - [0, 0, 1.8], np.full(len(points), 100.0)]).astype(np.float32)
        points.tofile(folder / "sweep.bin")
        return folder / "sweep.bin"
    np.save(folder / "room.npy", points)
    return folder / "room.npy"


@pytest.mark.parametrize(
    ("commands", "others"),
    [
        ({"volume": ("unetr-hippocampus",)}, OF_POINTS),
        (
            {
                "room": ("3detr-rooms", "--units", "m", "--up", "z"),
                "sweep": ("centerpoint-drives", "--columns", "x,y,z,intensity"),
            },
            OF_VOLUMES,
        ),
    ],
    ids=["volume", "points"],
)
def test_predict_loads_only_what_it_uses(
    commands: dict[str, tuple[str, ...]], others: set[str], tmp_path: Path
) -> None:
    lines = [
        "|".join(["predict", name, str(scan(kind, tmp_path)), "-o", str(tmp_path / f"out_{kind}"), *options])
        for kind, (name, *options) in commands.items()
    ]
    command = [sys.executable, "-c", CODE, *lines]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(list((tmp_path / f"out_{kind}").iterdir()) for kind in commands), "a command predicted nothing"
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "torch" in loaded and not loaded & (ELSEWHERE | others)
