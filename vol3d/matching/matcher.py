"""Bipartite matching of queries with targets by named, weighted costs: 3DETR, Object DGCNN and distillation.

matcher = HungarianMatcher({
    "class": Cost(class_probability_cost, "probability", "label", weight=1.0),
    "giou": Cost(giou_cost, "boxes", "boxes", weight=2.0),
})
matches = matcher({"probability": ..., "boxes": ...}, SetTargets.pad([{"label": ..., "boxes": ...}, ...]))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vol3d.errors import DataError, UsageError
from vol3d.matching.assignment import assign_padded
from vol3d.matching.sets import Matches, SetTargets


@dataclass(frozen=True)
class Cost:
    """One term of the matching cost.

    function: `(prediction, target) -> (..., targets, queries)`, such as those in `costs.py`; `functools.partial` binds
        their options.
    prediction: name of the prediction that the function gets.
    target: name of the target field that it gets.
    weight: factor of the term; a term with weight 0 is not computed.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    prediction: str
    target: str
    weight: float = 1.0


@dataclass(frozen=True)
class HungarianMatcher:
    """The assignment of targets to queries of least total cost, for all samples and decoder layers in one solve.

    Carion et al., End-to-End Object Detection with Transformers (ECCV 2020), equation 1.
    """

    costs: Mapping[str, Cost]

    @torch.no_grad()
    def cost(self, predictions: Mapping[str, Tensor], targets: SetTargets) -> Tensor:
        """The weighted sum of the terms, (..., batch, targets, queries).

        Raises:
            UsageError: a term names a prediction or a field that is not there; no term has a weight.
        """
        total = None
        for name, term in self.costs.items():
            if term.weight == 0:
                continue
            prediction, target = self._inputs(name, term, predictions, targets)
            value = term.weight * term.function(prediction, target)
            total = value if total is None else total + value
        if total is None:
            raise UsageError("no cost to match by", where="costs", got=list(self.costs), wanted="a term with a weight")
        return total

    @torch.no_grad()
    def __call__(self, predictions: Mapping[str, Tensor], targets: SetTargets) -> Matches:
        """Match predictions (..., batch, queries, ...) with targets; a sample may have none.

        Raises:
            DataError: a cost is NaN or -inf (the message names layer, sample and term); more targets than queries.
            UsageError: as `cost`.
        """
        cost = self.cost(predictions, targets)
        most = int(targets.counts.max()) if len(targets.counts) else 0
        if most > cost.shape[-1]:
            wanted, do = f"{cost.shape[-1]} at most", "Give the model more queries."
            raise DataError("more targets than queries", where="targets", got=most, wanted=wanted, do=do)
        counts = targets.counts.expand(cost.shape[:-2])
        try:
            return Matches(assign_padded(cost, rows=counts))
        except DataError as error:
            raise DataError(
                f"matching failed: {error.what}",
                where=f"{error.where} targets x queries",
                got=error.got,
                wanted=error.wanted,
                do=f"Terms with such values: {', '.join(self._broken(predictions, targets)) or 'none alone'}.",
            ) from error

    def _inputs(
        self, name: str, term: Cost, predictions: Mapping[str, Tensor], targets: SetTargets
    ) -> tuple[Tensor, Tensor]:
        if term.prediction not in predictions:
            where = f"cost '{name}'"
            raise UsageError("no such prediction", where=where, got=term.prediction, wanted=", ".join(predictions))
        if term.target not in targets.fields:
            wanted = ", ".join(targets.fields)
            raise UsageError("no such target field", where=f"cost '{name}'", got=term.target, wanted=wanted)
        return predictions[term.prediction], targets.fields[term.target]

    def _broken(self, predictions: Mapping[str, Tensor], targets: SetTargets) -> list[str]:
        """Names of the terms that hold NaN or -inf at a true target."""
        names = []
        for name, term in self.costs.items():
            if term.weight != 0:
                value = term.weight * term.function(*self._inputs(name, term, predictions, targets))
                true = torch.arange(value.shape[-2]) < targets.counts[:, None]
                bad = ~(value > -torch.inf).all(-1) & true.to(value.device)
                names += [name] if bool(bad.any()) else []
        return names
