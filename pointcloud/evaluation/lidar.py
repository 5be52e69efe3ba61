"""Which benchmark scores a data set of LiDAR frames: the reader of its frames says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.datasets.scenes import SceneReader
from pointcloud.evaluation.kitti import KittiScored, evaluate_kitti
from pointcloud.evaluation.kitti_truth import KittiReader, kitti_scored
from pointcloud.evaluation.nuscenes import NuscenesFrame, evaluate_nuscenes
from pointcloud.evaluation.nuscenes_truth import benchmark_truth
from pointcloud.evaluation.pictures import ScoredScene
from pointcloud.evaluation.scenes import evaluate_scenes
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError, UsageError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress
from vol3d.view.draw.top_view import STREET

Detect = Callable[[PointCloud], Detections]
Reader = TypeVar("Reader", bound=SceneReader)


def evaluate_lidar(
    scenes: Sequence[SceneReader],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    conditions: Mapping[str, str] | None = None,
    pictures: bool = False,
    submission: Path | None = None,
) -> Evaluation:
    """Detects in every scene and scores as the data set's benchmark does: NDS, KITTI's AP, or AP at an IoU.

    Args:
        scenes: all of one kind.
        detect: points of a scene -> boxes in the same frame.
        class_names: of the detections.
        progress: called before each scene.
        conditions: copied into the summary.
        pictures: best, median and worst scene from above.
        submission: where the detections are also written as the benchmark takes them: a JSON file of nuScenes, a
            folder of KITTI's text files.

    Raises:
        DataError: scenes of several kinds; what the benchmark's evaluation raises.
        UsageError: a `submission` for data without a benchmark.
    """
    kinds = {type(scene) for scene in scenes}
    if len(kinds) > 1:
        raise DataError("scenes of several data sets", got=", ".join(sorted(kind.__name__ for kind in kinds)))
    if all(isinstance(scene, NuScenesSample) for scene in scenes):
        samples = [scene for scene in scenes if isinstance(scene, NuScenesSample)]
        return evaluate_nuscenes(_nuscenes(_each(samples, progress), detect), conditions, pictures, submission)
    if all(isinstance(scene, KittiReader) for scene in scenes):
        frames = [scene for scene in scenes if isinstance(scene, KittiReader)]
        return evaluate_kitti(_kitti(_each(frames, progress), detect), conditions, pictures, submission)
    if submission is not None:
        raise UsageError("this data set has no benchmark to submit to", where="--submission")
    return evaluate_scenes(_scenes(_each(scenes, progress), detect), class_names, conditions, pictures, STREET)


def _each(scenes: Sequence[Reader], progress: Progress) -> Iterator[Reader]:
    for done, scene in enumerate(scenes):
        progress(done, len(scenes), scene.name)
        yield scene


def _nuscenes(samples: Iterator[NuScenesSample], detect: Detect) -> Iterator[NuscenesFrame]:
    for sample in samples:
        cloud = sample.read().cloud
        yield NuscenesFrame(sample.name, cloud, detect(cloud), benchmark_truth(sample), sample.global_from_lidar)


def _kitti(frames: Iterator[KittiReader], detect: Detect) -> Iterator[KittiScored]:
    for frame in frames:
        cloud = frame.read().cloud
        yield kitti_scored(frame, cloud, detect(cloud))


def _scenes(scenes: Iterator[SceneReader], detect: Detect) -> Iterator[ScoredScene]:
    for reader in scenes:
        scene = reader.read()
        yield ScoredScene(scene.name, scene.cloud, scene.truth, detect(scene.cloud))
