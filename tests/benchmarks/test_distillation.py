"""The rows of the tables are tasks, in both sizes; a tiny table is made, shared and made no second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import distillation
from benchmarks.distillation import task_of, with_needs, work
from benchmarks.distillation_rows import COMPARED, FULL, ROWS, SMALL, TABLES, Size
from tests.pointcloud.distill.small import CENTER, RECIPE
from vol3d.errors import UsageError
from vol3d.lock import lock

TRAINED = [name for name, row in ROWS.items() if row.again is None]


@pytest.mark.parametrize("size", [SMALL, FULL], ids=["small", "full"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_row_is_a_task(name: str, size: Size, tmp_path: Path) -> None:
    row, task = ROWS[name], task_of(name, 1, size, tmp_path)
    assert task.settings.train.seed == 1
    if row.start:
        assert task.settings.start_from.checkpoint == str(tmp_path / row.start / "seed1")
    if row.teacher:
        assert task.settings.distill.method == row.method
        teacher = task_of(row.teacher, 1, size, tmp_path).settings.data
        seen = task.settings.distill.teacher_sees
        own = task.settings.data
        looks = (seen.sweeps or own.sweeps, seen.every_beam or own.every_beam)
        assert (task.settings.distill.cache is not None) == (size.cached and row.method != "features")
        assert looks == (teacher.sweeps, teacher.every_beam)
    assert (task.settings.data.sweeps == 1) == row.sparse


@pytest.mark.parametrize("size", [SMALL, FULL], ids=["small", "full"])
@pytest.mark.parametrize("name", ["pillars", "voxels"])
def test_a_row_begins_with_parts_that_fit(name: str, size: Size, tmp_path: Path) -> None:
    def shapes(row: str) -> dict[str, Any]:
        with torch.device("meta"):
            model = task_of(row, 0, size, tmp_path).settings.model.build(("car",) if row == name else CLASSES)
        return {k: v.shape for k, v in model.state_dict().items() if k.split(".")[0] in {"encoder", "backbone"}}

    assert shapes(name) == shapes(str(ROWS[name].start)) and shapes(name)


CLASSES = (
    *("car", "truck", "construction_vehicle", "bus", "trailer"),
    *("barrier", "motorcycle", "bicycle", "pedestrian", "traffic_cone"),
)


def test_every_row_stands_in_a_table_behind_what_it_needs() -> None:
    assert {name for names in TABLES.values() for name in names} == set(ROWS)
    assert {name for pair in COMPARED for name in pair} <= set(ROWS)
    for number, (name, row) in enumerate(ROWS.items()):
        assert set(row.needs) <= set([*ROWS][:number]), name
    assert with_needs(["voxels_nms"]) == ["centerpoint_voxels", "voxels", "voxels_nms"]
    with pytest.raises(UsageError, match="no row called 'voxel'"):
        with_needs(["voxel"])


@pytest.mark.usefixtures("blank_pictures")
def test_a_tiny_table(
    tmp_path: Path, short_drives: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    queries, center = tmp_path / "queries.yaml", tmp_path / "center.yaml"
    queries.write_text(RECIPE.replace("ROOT", str(short_drives)))
    text = queries.read_text()
    center.write_text(" ".join(CENTER.replace("model=", "model: ").split()) + "\n" + text[text.index("data:") :])
    kinds: Any = {"centerpoint_pillars": str(center), "pillars": str(queries)}
    size = Size(kinds, center_pillars=(), sweeps=2, sparse=SMALL.sparse)
    names = with_needs(["dense_to_sparse", "pillars_nms", "centerpoint_pillars_no_nms"])
    out = tmp_path / "out"
    (out / "centerpoint_pillars" / "seed0").mkdir(parents=True)
    pauses: list[float] = []
    with lock(out / "centerpoint_pillars" / "seed0"), monkeypatch.context() as busy, pytest.raises(StopIteration):
        busy.setattr(distillation.time, "sleep", lambda seconds: next(iter(pauses)))
        work(names, 1, size, out, ["train.epochs=1"])  # another process is at the row that all need: it waits
    work(names, 1, size, out, ["train.epochs=1"])
    table = json.loads((out / "table.json").read_text())
    assert set(table["rows"]) == set(names)
    assert {(one["row"], one["less"]) for one in table["differences"]} >= {("pillars_nms", "pillars")}
    assert "| Object DGCNN, pillars | 0." in (out / "table.md").read_text()
    assert "pillars_nms seed 0 is done" in capsys.readouterr().err
    work(names, 1, size, out, ["train.epochs=1", f"data.root={short_drives}"])
    assert "is done" not in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"settings\.json: the folder has the runs of other recipes or settings"):
        work(names, 1, size, out, ["train.epochs=2"])
