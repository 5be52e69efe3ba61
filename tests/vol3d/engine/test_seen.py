"""What training scans were like: ranges, and a note with both numbers for a scan beyond them."""

from __future__ import annotations

import pytest

from vol3d.engine.seen import MOST_SCANS, Seen, SeenRange, Trait, ranges_of, some_of, synthetic_note, unlike

POINTS = Trait("points", "", "the scan has {found:,.0f} points", ",.0f", least=0.5, most=4)
WIDTH = Trait("width", "m", "the scan is {found:.1f} m wide", ".1f", setting="units")
SEEN = Seen(data="mine", ranges=ranges_of([{"points": 1000, "width": 4}, {"points": 3000}], (POINTS, WIDTH)))


def test_ranges_are_those_of_the_numbers_that_scans_have() -> None:
    assert SEEN.ranges == {"points": SeenRange(low=1000, high=3000), "width": SeenRange(low=4, high=4, unit="m")}
    assert ranges_of([], (POINTS,)) == {}
    assert Seen.model_validate_json(SEEN.model_dump_json()) == SEEN


@pytest.mark.parametrize("points", [500, 1000, 3000, 12_000])
def test_a_scan_like_those_of_the_training_is_not_noted(points: float) -> None:
    assert unlike(SEEN, {"points": points, "width": 4.0}, (POINTS, WIDTH)) == ()


def test_a_scan_beyond_them_is_noted_with_both_numbers() -> None:
    few, wide = unlike(SEEN, {"points": 499, "width": 8.0}, (POINTS, WIDTH))
    assert str(few) == "the scan has 499 points; the model was trained on 1,000 to 3,000"
    assert (few.code, few.setting) == ("points-unlike-training", None)
    assert few.numbers == {"found": 499, "low": 1000, "high": 3000}
    assert str(wide) == "the scan is 8.0 m wide; the model was trained on 4.0 to 4.0 m" and wide.setting == "units"


def test_what_was_not_measured_is_not_compared() -> None:
    assert unlike(None, {"points": 1}, (POINTS,)) == ()
    assert unlike(Seen(data="mine"), {"points": 1}, (POINTS,)) == ()
    assert unlike(SEEN, {}, (POINTS, WIDTH)) == ()


def test_synthetic_training_is_noted() -> None:
    (note,) = synthetic_note(Seen(data="drives", synthetic=True))
    assert note.code == "trained-on-synthetic" and "in the format of drives" in str(note)
    assert synthetic_note(SEEN) == synthetic_note(None) == ()


@pytest.mark.parametrize("count", [0, 1, MOST_SCANS, MOST_SCANS + 1, 1000])
def test_some_scans_are_spread_evenly(count: int) -> None:
    chosen = some_of(range(count))
    assert len(chosen) == len(set(chosen)) == min(count, MOST_SCANS) and chosen == sorted(chosen)
    assert not count or (chosen[0] == 0 and chosen[-1] >= count - count / MOST_SCANS - 1)
