"""Names of classes are compared without their case and what joins their words."""

from __future__ import annotations

import pytest

from vol3d.class_names import chosen_names, plain_name, respelled, spelled_as
from vol3d.errors import UsageError


def slowly(names: list[str], others: list[str]) -> dict[str, str]:
    """Name by name."""
    words = {ord("_"): " ", ord("-"): " "}
    found = {}
    for name in names:
        for other in others:
            same = name.translate(words).split() == other.translate(words).split()
            if name not in others and other not in names and (same or name.upper() == other.upper()):
                found[name] = other
    return found


@pytest.mark.parametrize(
    ("names", "others"),
    [
        ([], []),
        (["a"], []),
        ([], ["a"]),
        (["Car", "bus"], ["bus", "CAR", "dog"]),
        (["traffic_cone", "left-kidney"], ["left kidney", "traffic cone"]),
        (["Car", "car"], ["car"]),
        (["night_stand"], ["nightstand"]),
    ],
)
def test_each_name_by_its_slow_twin(names: list[str], others: list[str]) -> None:
    assert spelled_as(names, others, "mine") == slowly(names, others)


def test_spelling_is_taken_over() -> None:
    spelling = spelled_as(["Traffic_Cone", "car"], ["traffic-cone", "car"], "mine")
    assert respelled(["car", "Traffic_Cone", "x"], spelling) == ("car", "traffic-cone", "x")
    assert chosen_names(["LIVER", "left kidney", "x"], ["Left_Kidney", "liver"], "--roi") == (
        "liver",
        "Left_Kidney",
        "x",
    )
    assert chosen_names([], ["a"], "--roi") == () and plain_name("  A__b - C ") == "a b c"


@pytest.mark.bad_input
@pytest.mark.parametrize(("names", "others"), [(["car"], ["Car", "CAR"]), (["a b", "a_b"], ["A-B"])])
def test_what_could_be_several_is_refused(names: list[str], others: list[str]) -> None:
    with pytest.raises(UsageError, match=r"mine: names of classes that differ in their spelling only; got "):
        spelled_as(names, others, "mine")
