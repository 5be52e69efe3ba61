"""A submission from the shell: of a test set too, and never over what vol3d did not write."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.datasets.test_kitti import write_small_kitti
from tests.vol3d.untrained import save_untrained
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.errors import UsageError
from vol3d.files import sha256
from vol3d.scans.results.record import Record
from vol3d.scans.results.submission import claim, require_own, seal

RECIPE = """
model:
  name: centerpoint
  features: [intensity]
  voxels: {point_range_m: [0, -16, -3, 32, 16, 1], voxel_size_m: [1.6, 1.6, 4]}
  pillars: {widths: [8]}
  backbone: {widths: [8, 8], layers: [1, 1], strides: [1, 2]}
  neck: {widths: [8, 8], upsample: [1, 2]}
  head: {shared_width: 8, width: 8, velocity: false}
data: {name: NAME, root: ROOT}
"""


def untrained(folder: Path, name: str, root: Path) -> str:
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.replace("NAME", name).replace("ROOT", str(root)))
    return save_untrained(folder / "run", load_task(recipe))


@pytest.fixture
def kitti(tmp_path: Path) -> list[str]:
    """The words that submit the one frame of KITTI's test set to `results`."""
    root = write_small_kitti(tmp_path / "data")
    run = untrained(tmp_path, "kitti", root)
    return ["evaluate", run, "--data", str(root), "--split", "test", "--submission", str(tmp_path / "results")]


def test_of_kittis_test_set_again_and_by_another_model(kitti: list[str], tmp_path: Path) -> None:
    out, beside = tmp_path / "results", tmp_path / "results.vol3d.json"
    assert main(kitti) == main(kitti) == 0
    assert [path.name for path in out.iterdir()] == ["000000.txt"]
    record = json.loads(beside.read_text())["record"]
    assert record["files"] == {"000000.txt": sha256(out / "000000.txt")} and len(record["model_sha256"][0]) == 64

    # of other frames: those of before do not go along
    assert main([word if word != "test" else "validation" for word in kitti]) == 0
    assert [path.name for path in out.iterdir()] == ["000003.txt"]


def test_of_nuscenes_test_tables(tmp_path: Path) -> None:
    root, out = write_small_nuscenes(tmp_path / "data", "v1.0-test", ("scene-0077",), 2), tmp_path / "sent/results.json"
    run = untrained(tmp_path, "nuscenes", root)
    words = ["evaluate", run, "--data", str(root), "--split", "test", "--submission", str(out)]
    assert main(words) == main(words) == 0
    assert len(json.loads(out.read_text())["results"]) == 2
    assert sorted(path.name for path in out.parent.iterdir()) == ["results.json", "results.json.vol3d.json"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split", "test"], "no labels to score with.*Add --submission"),
        (["--split", "test", "--submission", "OUT/a", "-o", "OUT/b"], "no scores to write"),
        (["--split", "tests"], "no such split; got tests, wanted validation, train, all or test"),
        (["--split", "test", "--fold", "0", "--submission", "OUT/a"], "no folds"),
    ],
)
def test_what_cannot_be_asked_for(
    kitti: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert main([*kitti[:4], *(word.replace("OUT", str(tmp_path / "new")) for word in options)]) == 2
    captured = capsys.readouterr()
    assert re.search(says, " ".join(captured.err.split()))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["000000.txt", "000123.txt", "notes.md"])
def test_a_folder_with_another_file_is_left_alone(kitti: list[str], tmp_path: Path, name: str) -> None:
    out = tmp_path / "results"
    out.mkdir()
    (out / name).write_text("Car -1 -1 0 0 0 5 5 1 1 1 1 1 9 0 0.5\n")  # as another tool may have found it
    assert main(kitti) == 2
    assert [path.name for path in out.iterdir()] == [name] and not (tmp_path / "results.vol3d.json").exists()


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    claim(path)  # nothing is there
    path.write_text("{}")
    claim(path)  # as after a kill between the two
    seal(path, Record(model="m"))
    require_own(path)

    shutil.move(tmp_path / "results.json.vol3d.json", tmp_path / "kept")
    with pytest.raises(UsageError, match=r"results\.json: the submission would replace .* vol3d did not write"):
        claim(path)
    for content in ("{}", "[]", "no json", '{"record": {"files": {"results.json": null}}}'):
        (tmp_path / "results.json.vol3d.json").write_text(content)
        with pytest.raises(UsageError, match=r"results\.json\.vol3d\.json: the submission .*; got 2 such files"):
            require_own(path)
    path.write_text("")
    (tmp_path / "results.json.vol3d.json").unlink()
    require_own(path)  # an empty file is nobody's


def test_names_in_a_record_stay_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    claim(tmp_path / "out", ["../mine.txt"])
    claim(tmp_path / "out", ["a.txt"])
    assert (tmp_path / "mine.txt").read_text() == "mine"
