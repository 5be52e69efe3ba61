"""From a data set to a recipe that a training takes: each line with its reason, and the numbers those of the scans."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medical.models.residual_unet import ResidualUnetSettings
from medical.planning import lines, network
from medical.planning.cost import MARGIN, step_memory
from tests.medical.synthetic import write_msd
from vol3d.cli.main import main
from vol3d.config import load_task

SMALL = ResidualUnetSettings(
    features=(2, 4), kernels=((3, 3, 3), (3, 3, 3)), strides=((1, 1, 1), (2, 2, 2)), blocks=(1, 1)
)


@pytest.fixture(autouse=True)
def _timed(monkeypatch):
    """A step takes as long as its window has voxels, in microseconds."""
    monkeypatch.setattr(
        network, "step_seconds", lambda model, c, o, window, *_: window[0] * window[1] * window[2] / 1e6
    )


def plan(root: Path, out: Path, *words: str, layout: str = "msd") -> int:
    return main(["plan", layout, str(root), "-o", str(out), "--workers", "0", "--device", "cpu", *words])


def test_a_recipe_with_a_reason_on_each_line(tmp_path: Path, capsys):
    root, out = write_msd(tmp_path / "data", cases=6, spacing_mm=(1, 1, 2)), tmp_path / "new" / "recipe.yaml"
    assert plan(root, out) == 0
    assert "is written; `vol3d train" in capsys.readouterr().err
    rows = out.read_text().splitlines()
    settings = [n for n, row in enumerate(rows) if row.strip() and not row.lstrip().startswith("#")]
    for n in settings:
        opens = rows[n].endswith(":")
        assert opens or "# " in rows[n] or rows[n - 1].lstrip().startswith("#"), rows[n]

    task = load_task(out)
    assert task.settings.preprocess.spacing_mm == (1, 1, 2)
    assert task.settings.model.strides[1] == (2, 2, 1), "slices of 2 mm are twice as thick as the plane's voxels"
    assert task.settings.model.kernels[0] == (3, 3, 1)
    assert (task.settings.data.fold, task.settings.data.folds) == (0, 5)
    assert task.settings.class_names == task.split.class_names and task.settings.augment.flip == (0.5, 0, 0)
    steps = task.settings.train.epochs * 3
    assert steps >= 1000 and len(task.split.train) == 4

    assert main(["train", str(out), "--dry-run", "--device", "cpu"]) == 0
    assert "training samples" in capsys.readouterr().out


def test_unetr(tmp_path: Path):
    root, out = write_msd(tmp_path / "data", cases=3), tmp_path / "recipe.yaml"
    assert plan(root, out, "--model", "unetr") == 0
    task = load_task(out)
    assert (task.settings.model.name, task.settings.model.patch) == ("unetr", 8)
    assert task.settings.window.size == (24, 24, 16) and task.settings.data.folds == 3, "of three cases"


def test_few_thick_slices_are_not_turned_out_of_the_window(tmp_path: Path):
    root, out = write_msd(tmp_path / "data", cases=3, shape=(32, 28, 4), spacing_mm=(1, 1, 10)), tmp_path / "thick.yaml"
    assert plan(root, out) == 0
    assert load_task(out).settings.augment.rotate_deg == (0, 0, 30) and "it would be empty" in out.read_text()


@pytest.mark.parametrize(
    ("window", "angles"),
    [((64, 64, 64), [30, 30, 30]), ((96, 96, 32), [30, 30, 30]), ((8, 8, 64), [0, 0, 30]), ((1, 64, 64), [30, 0, 0])],
)
def test_planes_that_are_turned(window, angles):
    assert lines._rotation(window)[0] == angles


def test_ct_is_clipped_and_sides_are_kept(tmp_path: Path):
    names = ("background", "kidney_left", "kidney_right")
    root = write_msd(tmp_path / "data", cases=4, channel_names=("CT",), class_names=names)
    assert plan(root, tmp_path / "ct.yaml") == 0
    settings = load_task(tmp_path / "ct.yaml").settings
    intensity = settings.preprocess.intensity
    assert intensity.name == "clipped_zscore" and intensity.low < intensity.mean < intensity.high
    assert settings.augment.flip == (0, 0, 0)
    assert "would change sides" in (tmp_path / "ct.yaml").read_text()


def test_tumours_have_regions(tmp_path: Path):
    names = ("background", "edema", "non-enhancing tumor", "enhancing tumour")
    root = write_msd(tmp_path / "data", cases=4, class_names=names)
    assert plan(root, tmp_path / "r.yaml") == 0
    task = load_task(tmp_path / "r.yaml")
    assert list(task.classes.regions) == ["WT", "TC", "ET"] and task.classes.outputs == 3


def test_tumours_whose_core_is_two_classes_have_none(tmp_path: Path):
    names = ("background", "necrosis", "edema", "non-enhancing", "enhancing")
    root = write_msd(tmp_path / "data", cases=3, class_names=names)
    assert plan(root, tmp_path / "r.yaml") == 0
    assert load_task(tmp_path / "r.yaml").classes.regions is None


def test_less_memory_and_less_time_make_smaller_windows(tmp_path: Path, capsys):
    root = write_msd(tmp_path / "data", cases=3, shape=(40, 48, 32))
    sizes = {}
    for name, words in {"all": ["--hours", "99"], "memory": ["--memory", "170MB"], "time": ["--hours", "0.01"]}.items():
        assert plan(root, tmp_path / f"{name}.yaml", *words) == 0
        assert f"limited by the {'scans' if name == 'all' else name}" in capsys.readouterr().err
        i, j, k = load_task(tmp_path / f"{name}.yaml").settings.window.size
        sizes[name] = i * j * k
    assert max(sizes["memory"], sizes["time"]) < sizes["all"]
    assert plan(root, tmp_path / "none.yaml", "--memory", "1MB") == 2
    assert "too little memory for the smallest window; got 0.001 GB" in capsys.readouterr().err
    for words in ("much", "8"):
        assert plan(root, tmp_path / "none.yaml", "--memory", words) == 2
        assert "no size of memory" in capsys.readouterr().err


def test_a_published_split_stays(tmp_path: Path):
    root = write_msd(tmp_path / "data", cases=4)
    import json

    path = root / "dataset.json"
    document = json.loads(path.read_text())
    document["validation"] = document["training"][:2]  # a fold of four has one case
    document["training"] = document["training"][2:]
    path.write_text(json.dumps(document))
    assert plan(root, tmp_path / "r.yaml") == 0
    assert load_task(tmp_path / "r.yaml").settings.data.fold is None


def test_what_cannot_be_planned(tmp_path: Path, capsys):
    out = tmp_path / "r.yaml"
    assert plan(write_msd(tmp_path / "one", cases=1), out) == 2
    assert "one case cannot both train and validate" in capsys.readouterr().err
    root = write_msd(tmp_path / "data", cases=3)
    assert plan(root, out, "--model", "resnet") == 2
    assert "wanted one of residual_unet, unetr" in capsys.readouterr().err
    assert plan(root, out, layout="kitti") == 2
    assert "only data sets of volumes are planned" in capsys.readouterr().err
    assert not out.exists()
    out.write_text("mine")
    assert plan(root, out) == 2
    assert "the file exists" in capsys.readouterr().err and out.read_text() == "mine"
    assert plan(root, out, "--force") == 0 and "residual_unet" in out.read_text()


def test_memory_is_that_of_a_real_pass():
    counted = step_memory(SMALL, 1, 3, (8, 8, 4))
    torch.manual_seed(0)
    model = SMALL.build(1, 3, (8, 8, 4)).train()
    weights, saved = {p.data_ptr() for p in model.parameters()}, {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.logits(torch.zeros(1, 1, 8, 8, 4))
    real = sum(t.untyped_storage().nbytes() for key, t in saved.items() if key not in weights)
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    assert counted.per_sample == round(MARGIN * (real + 8 * 4 * 3 * 8 * 8 * 4))
    assert counted.of(3) - counted.of(2) == counted.per_sample
