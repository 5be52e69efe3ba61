"""The predictions of a set detector in terms that two such detectors can be compared in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PredictedSet:
    """Predictions of Q queries for B samples; detectors with several layers have them in front.

    log_odds: of each class being that of the query's object: before the sigmoid.
    box: code of the box without the velocity, see `pointcloud.structures.box_code`.
    velocity: metres per second, None if the detector predicts none.
    log_no_object: logarithm of the probability that the query has no object; None where the classes are independent
        answers of yes or no, which are all no then.
    """

    log_odds: Float[Tensor, "*layers b q classes"]
    box: Float[Tensor, "*layers b q 8"]
    velocity: Float[Tensor, "*layers b q 2"] | None = None
    log_no_object: Float[Tensor, "*layers b q"] | None = None

    @property
    def probability(self) -> Float[Tensor, "*layers b q classes"]:
        """Of each class."""
        return self.log_odds.sigmoid()

    def log_likelihood(self) -> Float[Tensor, "*layers b q choices"]:
        """Logarithms of the probability of each class, and of no object in the last column."""
        nothing = F.logsigmoid(-self.log_odds).sum(-1) if self.log_no_object is None else self.log_no_object
        return torch.cat([F.logsigmoid(self.log_odds), nothing[..., None]], dim=-1)

    def layers(self, which: slice | int) -> PredictedSet:
        """The set after some of the layers, or after one."""
        return self._each(lambda values: values[which])

    def detach(self) -> PredictedSet:
        """The same numbers without their history."""
        return self._each(Tensor.detach)

    def queries(self, which: Int64[Tensor, "*layers b k"]) -> PredictedSet:
        """Some of the queries of each sample."""

        def taken(values: Tensor) -> Tensor:
            return values.take_along_dim(which if values.ndim == which.ndim else which[..., None], dim=which.ndim - 1)

        return self._each(taken)

    def _each(self, change: Callable[[Tensor], Tensor]) -> PredictedSet:
        parts = (self.log_odds, self.box, self.velocity, self.log_no_object)
        return PredictedSet(*(None if part is None else change(part) for part in parts))  # type: ignore[arg-type]


def softmax_log_odds(logits: Float[Tensor, "*q c"]) -> Float[Tensor, "*q classes"]:
    """Log-odds of every class against all others, for logits of a softmax whose last class is the background."""
    odds = []
    for column in range(logits.shape[-1] - 1):
        others = torch.cat([logits[..., :column], logits[..., column + 1 :]], dim=-1)
        odds.append(logits[..., column] - others.logsumexp(-1))
    return torch.stack(odds, dim=-1)
