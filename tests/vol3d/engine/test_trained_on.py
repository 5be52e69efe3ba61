"""What a checkpoint records of its training scans, and what is noted of a score on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vol3d.engine.trained_on import TRAINED_ON, TrainedOn, inherited, key_of, recorded, remarks, seen_facts

KEYS = st.sets(st.sampled_from("abcdefgh"), max_size=6)


def info(*not_recorded: str, **scans: str) -> dict[str, Any]:
    return {
        TRAINED_ON: TrainedOn(
            scans={how: tuple(keys) for how, keys in scans.items()}, not_recorded=not_recorded
        ).model_dump(mode="json")
    }


def test_a_key_is_of_the_numbers_and_their_shape_and_of_nothing_else() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    assert (
        key_of(values) == key_of(values.astype(np.float64)) == key_of(np.asfortranarray(values))
        and len(key_of(values)) == 16
    )
    assert (
        len({key_of(values), key_of(values.T), key_of(values.reshape(20, 6)), key_of(values[:1]), key_of(values[:0])})
        == 5
    )
    moved = values.copy()
    moved[-1, -1] = np.nextafter(moved[-1, -1], np.float32(9))
    assert key_of(moved) != key_of(values)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["training", "start_from", "teacher", "unlabelled"]), KEYS),
        min_size=1,
        max_size=4,
    ),
    KEYS,
)
def test_seen_are_those_that_any_model_has_learned_from(models: list[dict[str, set[str]]], scored: set[str]) -> None:
    infos = [info(**{how: "".join(sorted(keys)) for how, keys in one.items()}) for one in models]
    facts = seen_facts(infos, sorted(scored))
    if not scored:
        assert facts == {}
        return
    own = [set().union(*one.values()) for one in models]
    slow = {key for key in scored if any(key in keys for keys in own)}
    assert facts["seen_cases"] == len(slow)
    assert ("remarks" in facts) == bool(slow)
    if slow:
        (note,) = facts["remarks"]
        numbers = note["numbers"]
        assert note["code"] == "training-cases-scored" and (numbers["seen"], numbers["scored"]) == (
            len(slow),
            len(scored),
        )
        assert numbers["members"] == sum(bool(keys & scored) for keys in own) and numbers["models"] == len(models)
        assert sum(numbers.get(how, 0) for how in ("training", "start_from", "teacher", "unlabelled")) == len(slow)


def test_sentences() -> None:
    def said(infos: list[dict[str, Any]], scored: str) -> list[str]:
        return remarks(seen_facts(infos, scored))

    one, not_unseen = info(training="ab", teacher="bc"), "; the score is not one of unseen data"
    assert said([one], "xyz") == [] and said([one], "") == []
    assert said([one], "abx") == [f"2 of 3 scored cases were trained on by this model{not_unseen}"]
    assert said([one], "acx") == [
        f"2 of 3 scored cases were trained on by this model (1 of them only by its teacher){not_unseen}"
    ]
    assert said([info(unlabelled="a")], "ab") == [
        f"1 of 2 scored cases were trained on by this model (1 of them only without labels){not_unseen}"
    ]
    folds = [info(training="ab"), info(training="ac"), info(training="d")]
    assert said(folds, "abcx") == [
        f"3 of 4 scored cases were trained on by 2 of the 3 models of this ensemble{not_unseen}"
    ]


def test_a_model_without_a_record_is_noted_only_beside_one_with_it() -> None:
    assert seen_facts([{}, {"seen": None}], "ab") == {}
    (text,) = remarks(facts := seen_facts([info(training="a"), {}], "b"))
    assert facts["seen_cases"] == 0 and "not all training scans are recorded (those of 1 of 2 models)" in text
    assert remarks(seen_facts([info(training="a"), {"seen": {"data": "rooms", "synthetic": True}}], "b")) == []
    (text,) = remarks(seen_facts([info("teacher", training="a")], "b"))
    assert "(scans seen by its teacher)" in text


def test_what_is_taken_over_from_other_models() -> None:
    assert inherited("teacher", []) == TrainedOn(scans={"teacher": ()})
    both = inherited("start_from", [info(training="a", start_from="b"), info(training="bc")])
    assert both == TrainedOn(scans={"start_from": ("a", "b", "c")})
    assert inherited("teacher", [info(training="a"), {}]).not_recorded == ("teacher",)
    assert inherited("teacher", [info("start_from", training="a")]).not_recorded == ("teacher",)
    assert inherited("teacher", [{"seen": {"synthetic": True}}]) == TrainedOn(scans={"teacher": ()})
    assert TrainedOn(scans={"training": ("a",)}).joined(both).keys == {"a", "b", "c"}


def test_a_record_that_is_none_is_refused() -> None:
    assert recorded({}) is None
    with pytest.raises(ValidationError):
        recorded({TRAINED_ON: ["a"]})


@pytest.mark.parametrize("summary", [{}, {"remarks": "a"}, {"remarks": ["a", {}, None]}, {"remarks": None}])
def test_remarks_of_a_file_that_has_none(summary: dict[str, Any]) -> None:
    assert remarks(summary) == []
