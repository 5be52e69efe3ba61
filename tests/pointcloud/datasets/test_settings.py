"""What every data set states about itself: one test for all that the catalogue lists, then the answers themselves."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.settings import SceneSettings
from pointcloud.evaluation.benchmark import Benchmark, benchmark_of, one_by_one, overlap_benchmark
from pointcloud.structures.sensor import Density
from tests.pointcloud.datasets.makers import write_point_folder
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from vol3d import catalog
from vol3d.errors import DataError, UsageError

HERE = Path()
NAMES = [name for name, entry in catalog.DATASETS.items() if entry.target.startswith("pointcloud.")]


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_of_the_catalogue_states_what_it_can_do(name: str) -> None:
    settings = catalog.load(catalog.DATASETS[name].target)(root=HERE)
    assert isinstance(settings, SceneSettings) and settings.name == name
    assert settings.for_evaluation(settings).root == HERE
    assert settings.density is None or settings.with_density(Density(1, 1)).density == (1, 1)
    assert (settings.submission is None) == (benchmark_of(name) is overlap_benchmark)
    assert set(settings.taken_over) <= set(type(settings).model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_has_the_one_signature(name: str) -> None:
    wanted = list(inspect.signature(Benchmark.__call__).parameters)[1:]
    assert list(inspect.signature(benchmark_of(name)).parameters) == wanted


def test_an_evaluation_takes_over_what_was_trained_on_unless_it_is_set() -> None:
    trained = NuScenesSettings(root=HERE, sweeps=3, every_beam=2, min_points=5)
    other = NuScenesSettings(root=HERE / "other", every_beam=1, validation_step=4).for_evaluation(trained)
    assert isinstance(other, NuScenesSettings)
    assert (other.sweeps, other.every_beam, other.min_points, other.validation_step) == (3, 1, 1, 1)
    kitti = KittiSettings(root=HERE)
    assert kitti.for_evaluation(trained) is kitti and kitti.density is None


def test_an_unknown_data_set_has_no_benchmark() -> None:
    with pytest.raises(UsageError, match="Did you mean 'kitti'"):
        benchmark_of("kiti")


def test_scenes_of_several_data_sets_are_refused(tmp_path: Path) -> None:
    samples = NuScenesSettings(root=write_small_nuscenes(tmp_path / "drives")).split().train
    clouds = PointFolderSettings(root=write_point_folder(tmp_path / "clouds")).split().train
    with pytest.raises(DataError, match="several data sets; got FolderScene, NuScenesSample"):
        list(one_by_one([*samples, *clouds], lambda done, total, name: None))
