"""The classes of a model and of a data set are matched by name, and what only one has is stated as a fact."""

import math

import pytest

from vol3d.engine.common_classes import CommonClasses, with_all_classes
from vol3d.engine.evaluation import Evaluation
from vol3d.errors import CheckpointError, UsageError


def test_names_decide_and_no_number():
    both = CommonClasses.of(("car", "bus", "tram"), ("dog", "tram", "car"), "mine")
    assert both == CommonClasses(("car", "tram"), ("bus",), ("dog",)) and not both.is_all
    assert CommonClasses.of(("a", "b"), ("b", "a"), "mine").is_all


@pytest.mark.parametrize("data", [(), ("cars",), ("dog", "cat")])
def test_nothing_in_common_is_one_error(data):
    message = r"mine: the model was trained for other classes.*wanted one or more of car, bus.*matched by name"
    with pytest.raises(CheckpointError, match=message):
        CommonClasses.of(("car", "bus"), data, "mine")


def test_spelling_does_not_count_and_is_noted():
    both = CommonClasses.of(("Car", "traffic_cone", "bus"), ("traffic cone", "car", "bus"), "mine")
    assert both.common == ("car", "traffic cone", "bus") and not both.not_annotated and not both.not_in_model
    assert both.spelling == {"Car": "car", "traffic_cone": "traffic cone"} and not both.is_all
    (note,) = both.remarks(0, "detections", 0, "objects")
    assert note.code == "classes-spelled-otherwise" and "Car is car, traffic_cone is traffic cone" in str(note)
    with pytest.raises(UsageError, match="differ in their spelling only"):
        CommonClasses.of(("Car",), ("car", "CAR"), "mine")


def test_remarks_are_facts():
    unlabelled, unknown = CommonClasses(("car",), ("bus", "{tram}"), ("dog",)).remarks(1234, "detections", 5, "objects")
    assert (unlabelled.code, unlabelled.value) == ("classes-not-annotated", "bus, {tram}")
    assert unlabelled.numbers == {"classes": 2, "of": 3, "common": 1, "left_out": 1234}
    assert "bus, {tram} (2 of the model's 3 classes)" in str(unlabelled) and "1,234 detections" in str(unlabelled)
    assert (unknown.code, unknown.value, unknown.numbers["missed"]) == ("classes-not-in-model", "dog", 5)
    assert "means are over" in str(unlabelled) and "means are over" not in str(unknown)  # once
    assert CommonClasses(("car",)).remarks(0, "", 0, "") == ()
    submitted = CommonClasses(("car",), ("bus",), ("dog",)).remarks(3, "detections", 0, "objects", scored=False)
    assert [note.code for note in submitted] == ["classes-not-annotated"] and "means" not in str(submitted[0])


def test_every_class_has_a_row_in_the_models_order():
    scored = Evaluation(0.5, "ap", {"ap": 0.5, "classes": {"tram": {"ap": 0.5}}, "remarks": [{"code": "old"}]})
    notes = CommonClasses(("tram",), ("car",), ("dog",)).remarks(0, "detections", 1, "objects")
    summary = with_all_classes(scored, ("car", "tram"), {"dog": {"ap": 0.0}}, notes).summary
    assert list(summary["classes"]) == ["car", "tram", "dog"] and summary["classes"]["car"] == {}
    assert [remark["code"] for remark in summary["remarks"]] == ["old", "classes-not-annotated", "classes-not-in-model"]
    assert "classes" in scored.summary and "car" not in scored.summary["classes"]  # the first is as it was
    assert not math.isnan(summary["ap"])
