"""Which benchmark scores a data set of LiDAR frames: its line in the catalogue names the function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pointcloud.datasets.scenes import SceneReader
from vol3d import catalog
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError, UsageError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background

Detect = Callable[[PointCloud], Detections]
"""Points of a scene -> boxes in the same frame."""
Reader = TypeVar("Reader", bound=SceneReader)


class Benchmark(Protocol):
    """Detects in every scene and scores as one data set's benchmark does."""

    def __call__(
        self,
        scenes: Sequence[Any],
        detect: Detect,
        class_names: Sequence[str],
        progress: Progress,
        conditions: Mapping[str, str] | None = None,
        pictures: Background | None = None,
        submission: Path | None = None,
    ) -> Evaluation:
        """The score and its tables.

        Args:
            scenes: readers of this data set, from its own files or prepared.
            detect: the detector.
            class_names: of the detections; objects of other classes are not compared.
            progress: called before each scene.
            conditions: copied into the summary.
            pictures: on which background the best, median and worst scene are drawn from above; None: not at all.
            submission: where the detections are also written as the benchmark takes them.

        Raises:
            DataError: scenes of several data sets, no scene, values that are not finite.
        """
        ...


def benchmark_of(data_set: str) -> Benchmark:
    """The benchmark of the data set with this name in the catalogue; average precision at an IoU where it has none.

    Raises:
        UsageError: no such data set.
    """
    entry = catalog.find(data_set, catalog.DATASETS, "data set")
    return cast(Benchmark, catalog.load(entry.benchmark)) if entry.benchmark else overlap_benchmark


class Submit(Protocol):
    """Detects in every scene of a test set and writes what one data set's benchmark takes."""

    def __call__(
        self, scenes: Sequence[Any], detect: Detect, class_names: Sequence[str], progress: Progress, path: Path
    ) -> int:
        """How many boxes were written; arguments as of `Benchmark`. What was written is read back.

        Raises:
            DataError: a scene is there twice, values that are not finite.
        """
        ...


def submit(
    data_set: str,
    scenes: Sequence[SceneReader],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    path: Path | None,
) -> Evaluation:
    """Writes what the data set's benchmark takes of its test scenes; the evaluation has counts and no score.

    Raises:
        UsageError: no such data set, or one that nothing can be submitted to; no path.
    """
    entry = catalog.find(data_set, catalog.DATASETS, "data set")
    if entry.submit is None or path is None:
        raise UsageError("a test set needs a benchmark to submit to", where="--submission", got=path)
    names = Counter(scene.name for scene in scenes)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataError("a scene is there twice", where=data_set, got=twice[0])
    boxes = cast(Submit, catalog.load(entry.submit))(scenes, detect, class_names, progress, path)
    return Evaluation(float("nan"), "", {"frames": len(scenes), "boxes": boxes, "submission": str(path)})


def overlap_benchmark(
    scenes: Sequence[SceneReader],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
) -> Evaluation:
    """AP at an IoU, for data sets without their own rules; see `Benchmark`.

    Raises:
        UsageError: there is nothing to submit to.
    """
    from pointcloud.evaluation.scenes import ScoredScene, evaluate_scenes
    from vol3d.view.draw.top_view import STREET

    if submission is not None:
        raise UsageError("this data set has no benchmark to submit to", where="--submission")

    def scored() -> Iterator[ScoredScene]:
        for reader in one_by_one(scenes, progress):
            scene = reader.read()
            yield ScoredScene(scene.name, scene.cloud, scene.truth.of_classes(class_names), detect(scene.cloud))

    return evaluate_scenes(scored(), class_names, conditions, pictures, STREET)


def one_by_one(scenes: Sequence[Reader], progress: Progress) -> Iterator[Reader]:
    """The scenes in order, each after a call of `progress`.

    Raises:
        DataError: they are of several data sets.
    """
    kinds = {type(scene) for scene in scenes}
    if len(kinds) > 1:
        raise DataError("scenes of several data sets", got=", ".join(sorted(kind.__name__ for kind in kinds)))
    for done, scene in enumerate(scenes):
        progress(done, len(scenes), scene.name)
        yield scene
