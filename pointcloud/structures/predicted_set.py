"""The predictions of a set detector in terms that two such detectors can be compared in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PredictedSet:
    """Predictions of Q queries for B samples; detectors with several layers have them in front.

    log_odds: of each class being that of the query's object: before the sigmoid.
    box: code of the box without the velocity, see `pointcloud.structures.box_code`.
    velocity: metres per second, None if the detector predicts none.
    """

    log_odds: Float[Tensor, "*layers b q classes"]
    box: Float[Tensor, "*layers b q 8"]
    velocity: Float[Tensor, "*layers b q 2"] | None = None

    @property
    def probability(self) -> Float[Tensor, "*layers b q classes"]:
        """Of each class."""
        return self.log_odds.sigmoid()

    def layers(self, which: slice | int) -> PredictedSet:
        """The set after some of the layers, or after one."""
        velocity = None if self.velocity is None else self.velocity[which]
        return PredictedSet(self.log_odds[which], self.box[which], velocity)

    def detach(self) -> PredictedSet:
        """The same numbers without their history."""
        velocity = None if self.velocity is None else self.velocity.detach()
        return PredictedSet(self.log_odds.detach(), self.box.detach(), velocity)


def softmax_log_odds(logits: Float[Tensor, "*q c"]) -> Float[Tensor, "*q classes"]:
    """Log-odds of every class against all others, for logits of a softmax whose last class is the background."""
    odds = []
    for column in range(logits.shape[-1] - 1):
        others = torch.cat([logits[..., :column], logits[..., column + 1 :]], dim=-1)
        odds.append(logits[..., column] - others.logsumexp(-1))
    return torch.stack(odds, dim=-1)
