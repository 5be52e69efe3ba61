"""Which cases a report shows in pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping

EXAMPLES = ("best", "median", "worst")


def choose_examples(scores: Mapping[str, float]) -> dict[str, str]:
    """The best, the median and the worst of some cases by their scores; a score that is not finite does not count.

        >>> choose_examples({"a": 0.2, "b": float("nan"), "c": 0.9, "d": 0.5})
        {'best': 'c', 'median': 'd', 'worst': 'a'}
        >>> choose_examples({"a": 0.2})
        {'best': 'a'}

    No case is shown twice: one alone is the best, the better one of two is the best and the other one the worst. Equal
    scores are in the order of their names.
    """
    order = sorted((score, name) for name, score in scores.items() if math.isfinite(score))
    if not order:
        return {}
    words = {len(order) // 2: "median", 0: "worst", len(order) - 1: "best"}  # of one place the last word holds
    chosen = {word: order[place][1] for place, word in words.items()}
    return {word: chosen[word] for word in EXAMPLES if word in chosen}
