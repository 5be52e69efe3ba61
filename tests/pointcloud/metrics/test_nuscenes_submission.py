"""Result files: what is written is read back and scored the same by the original; what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.metrics.nuscenes.boxes import NuscenesDetections
from pointcloud.metrics.nuscenes.scores import nuscenes_scores
from pointcloud.metrics.nuscenes.submission import LIDAR_ONLY, Submission, read_submission, write_submission
from tests.pointcloud.metrics.official_nuscenes import devkit_scores, read_truth
from vol3d.errors import DataError
from vol3d.files import read_json

BOX = {
    "sample_token": "a",
    "translation": [600.5, 1600, 1.25],
    "size": [2.0, 4.0, 1.5],
    "rotation": [2.0, 0.0, 0.0, 2.0],
    "velocity": [1.0, -1.0],
    "detection_name": "truck",
    "detection_score": 0.5,
    "attribute_name": "vehicle.moving",
}


def content(**changes: Any) -> dict[str, Any]:
    return {"meta": LIDAR_ONLY, "results": {"a": [BOX | changes], "b": []}}


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def random_detections(seed: int, n: int) -> NuscenesDetections:
    rng = np.random.default_rng(seed)
    boxes = rng.normal(0, 900, (n, 9))
    boxes[:, 3:6] = rng.uniform(0.1, 9, (n, 3))
    boxes[:, 6] = rng.uniform(-np.pi, np.pi, n)
    return NuscenesDetections(boxes, rng.random(n), rng.integers(0, 10, n), rng.integers(-1, 8, n))


def test_a_file_is_read_as_boxes_of_the_package(tmp_path: Path):
    submission = read_submission(write(tmp_path / "r.json", content()), ["b", "a"])
    assert submission.meta == LIDAR_ONLY and list(submission.results) == ["a", "b"]
    found = submission.results["a"]
    np.testing.assert_allclose(found.boxes, [[600.5, 1600, 1.25, 4, 2, 1.5, np.pi / 2, 1, -1]])
    assert (found.scores[0], found.labels[0], found.attributes[0]) == (0.5, 1, 5)
    assert len(submission.results["b"]) == 0


def test_what_is_written_is_read_back(tmp_path: Path):
    results = {"x": random_detections(0, 40), "empty": random_detections(0, 0), 'tok"en': random_detections(1, 500)}
    write_submission(tmp_path / "r.json", Submission(LIDAR_ONLY | {"use_camera": True}, results))
    back = read_submission(tmp_path / "r.json", results.keys())
    assert back.meta["use_camera"] and list(back.results) == list(results)
    for token, found in results.items():
        np.testing.assert_allclose(back.results[token].boxes, found.boxes, rtol=0, atol=1e-12)
        for name in ("scores", "labels", "attributes"):
            np.testing.assert_array_equal(getattr(back.results[token], name), getattr(found, name))


def test_the_original_files_keep_every_number(oracle_root: Path, tmp_path: Path):
    source = oracle_root / "lidar" / "nuscenes_eval_a_results.json"
    write_submission(tmp_path / "r.json", read_submission(source))
    was, now = (read_json(path)["results"] for path in (source, tmp_path / "r.json"))
    assert list(was) == list(now)
    for token, boxes in was.items():
        for one, other in zip(boxes, now[token], strict=True):
            assert one.keys() == other.keys()
            for key in ("sample_token", "detection_name", "detection_score", "attribute_name", "size", "translation"):
                assert one[key] == other[key]
            np.testing.assert_allclose(one["velocity"], other["velocity"], atol=1e-12)
            assert abs(np.dot(one["rotation"], other["rotation"])) == pytest.approx(
                1, abs=1e-5
            )  # rounded in the source


def test_a_file_without_a_sample_is_read(tmp_path: Path):
    write_submission(tmp_path / "r.json", Submission(LIDAR_ONLY, {}))
    assert not read_submission(tmp_path / "r.json", []).results


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[", "not JSON"),
        ([], "not a nuScenes result file"),
        ({"meta": LIDAR_ONLY}, "not a nuScenes result file"),
        ({"results": {}}, "'meta' does not say"),
        ({"meta": {"use_lidar": True}, "results": {}}, "'meta' does not say"),
        ({"meta": LIDAR_ONLY, "results": {"a": []}}, "1 samples are missing; got b"),
        ({"meta": LIDAR_ONLY, "results": {"a": [], "b": [], "c": []}}, "1 samples are unknown; got c"),
        ({"meta": LIDAR_ONLY, "results": {"a": {}, "b": []}}, "sample 'a' is not a list of boxes"),
        ({"meta": LIDAR_ONLY, "results": {"a": [{}], "b": []}}, "sample 'a' is not a list of boxes"),
        ({"meta": LIDAR_ONLY, "results": {"a": [BOX] * 501, "b": []}}, "too many boxes in sample 'a'; got 501"),
        ({"meta": LIDAR_ONLY, "results": {"b": [BOX], "a": []}}, "under sample 'b' has another 'sample_token'"),
        ('{"meta": {}, "results": {"a": [], "a": []}}', "there twice; got a"),
        (content(translation=[1, 2]), "'translation' of a box of sample 'a' is invalid.*wanted 3 numbers x y z"),
        (content(translation=None), "'translation' of a box"),
        (content(translation=[1, 2, "3"]), "'translation' of a box"),
        (content(translation=[1, 2, True]), "'translation' of a box"),
        (content(translation=[1, 2, 10**400]), "outside the range of a number"),
        (content(size=[1, 0, 1]), "no extent or no direction"),
        (content(rotation=[0, 0, 0, 0]), "no extent or no direction"),
        (content(velocity=[None, None]), "'velocity' of a box"),
        (content(detection_name="tree"), "'detection_name' of a box of sample 'a' is invalid; got 'tree'"),
        (content(attribute_name="vehicle.flying"), "'attribute_name' of a box"),
        (content(attribute_name=None), "'attribute_name' of a box"),
        (content(sample_token=3), "'sample_token' of a box"),
        (content(detection_score="high"), "'detection_score' of a box"),
        (json.dumps(content()).replace("600.5,", "NaN,"), "NaN is not a number"),
        (json.dumps(content()).replace('"size"', '"sizes"'), "'size' of a box of sample 'a' is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, value: Any, words: str):
    path = write(tmp_path / "r.json", value)
    with pytest.raises(DataError, match=words) as caught:
        read_submission(path, ["a", "b"])
    assert "r.json" in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_submission(tmp_path / "none.json")


@pytest.mark.parametrize("fault", ["nan", "many"])
def test_a_file_that_the_benchmark_would_refuse_is_not_written(tmp_path: Path, fault: str):
    good, bad = random_detections(0, 3), random_detections(1, 501 if fault == "many" else 3)
    if fault == "nan":
        bad.boxes[1, 7] = np.nan
    with pytest.raises(DataError, match="sample 'bad'"):
        write_submission(tmp_path / "r.json", Submission(LIDAR_ONLY, {"good": good, "bad": bad}))
    assert not list(tmp_path.iterdir())


def test_the_devkit_reads_the_file_and_scores_it_the_same(oracle_root: Path, tmp_path: Path):
    truth = oracle_root / "lidar" / "nuscenes_eval_b_gt.json"
    submission = read_submission(oracle_root / "lidar" / "nuscenes_eval_b_results.json")
    write_submission(tmp_path / "r.json", submission)
    wanted = devkit_scores(tmp_path / "r.json", truth)
    scores = nuscenes_scores(submission.results, read_truth(truth))
    assert scores.nds == pytest.approx(wanted["nds"], abs=1e-9) and scores.nds > 0.2
    assert scores.mean_ap == pytest.approx(wanted["map"], abs=1e-9)
    np.testing.assert_allclose(scores.mean_errors, wanted["errors"], atol=1e-9)
