"""The notebooks of the documentation run from top to bottom, show pictures and tables, and store no outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site import notebooks
from tests.conftest import PROJECT
from tests.notebook import cells

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.ipynb"))
MAX_BYTES = 20_000
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.slow
@by_name
def test_a_notebook_runs_and_shows_a_picture_and_tables(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.notebook", str(path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("data:image/png;base64,") >= 1 and ended.stdout.count("<table") >= 2
    assert [one.name.startswith("notebook_") for one in tmp_path.iterdir()] == [True]  # it writes into one folder


@by_name
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5) and path.stat().st_size < MAX_BYTES
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert code and not [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    assert content["metadata"].keys() == {"kernelspec", "language_info"}


@by_name
def test_the_page_of_a_notebook_has_all_of_its_cells(path: Path) -> None:
    page = notebooks.page(path)
    assert page.startswith("# ") and f'href="{path.name}"' in page
    assert all(text.strip() in page for kind in ("code", "markdown") for text in cells(path, kind)[1:])
    start = (PROJECT / "docs" / "start" / f"{path.stem}.md").read_text("utf-8")
    assert f"(../notebooks/{path.name})" in start
