"""The wheel holds what an installed package needs beside its code."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from tests.conftest import PROJECT
from vol3d import catalog

MOST_BYTES = 45 << 20
PARTS = ("vol3d", "medical", "pointcloud", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def test_the_wheel_is_complete(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / part, source / part)
    build = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run([sys.executable, "-m", *build], check=True)
    assert next(tmp_path.glob("*.whl")).stat().st_size < MOST_BYTES
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    recipes = {f"vol3d/configs/{path.relative_to(PROJECT / 'configs')}" for path in PROJECT.glob("configs/**/*.yaml")}
    areas = [path for area in ("medical/s*", "pointcloud/shipped") for path in PROJECT.glob(f"{area}/**/*.*")]
    data = {str(path.relative_to(PROJECT)) for path in areas if path.suffix != ".py"}
    assert {Path(name).parent.name for name in data if name.endswith(".safetensors")} == set(catalog.shipped())
    data |= {str(path.relative_to(PROJECT)) for path in PROJECT.glob("vol3d/view/page/static/**/*") if path.is_file()}
    other = {"vol3d/sparse/backends/launch.json", "vol3d/report/style.css", "vol3d/report/script.js"}
    other |= {f"{package}/py.typed" for package in ("vol3d", "medical", "pointcloud")}
    assert recipes and data and recipes | data | other <= names
    assert not [name for name in names if name.startswith(("tests/", "configs/", "benchmarks/"))]


def test_the_workflow_runs_what_ci_runs():
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["test"] == [".ci/run"] and os.access(PROJECT / ".ci" / "run", os.X_OK)
    assert "python -m twine check --strict dist/*" in commands["package"]
    versions = jobs["versions"]["strategy"]["matrix"]["python-version"]
    assert versions == ["3.10", "3.12", "3.13"], "the job `test` has 3.11"
