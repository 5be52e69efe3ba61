"""The loss that follows matching: named terms over matched pairs and over all queries, for every decoder layer.

loss = SetLoss({
    "class": ClassLoss(partial(softmax_class_loss, background_weight=0.25), "logits", "label", divide_by="weights"),
    "center": PairLoss(l1_loss, ("center",), ("center",), weight=5.0),
})
terms = loss(predictions, targets, matcher(predictions, targets))
sum(terms.values()).backward()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed
from torch import Tensor

from vol3d.errors import DataError, UsageError
from vol3d.host import send
from vol3d.matching.sets import Matches, SetTargets


@dataclass(frozen=True)
class PairLoss:
    """A term over the matched pairs, divided by the number of boxes.

    function: `(*predictions, *targets) -> one value per pair`; gets predictions of the matched queries.
    predictions: names of the predictions that the function gets.
    targets: names of the target fields. A pair whose target is not finite (an unknown velocity) is left out.
    weight: factor of the term; a term with weight 0 is not computed.
    """

    function: Callable[..., Tensor]
    predictions: tuple[str, ...]
    targets: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class ClassLoss:
    """A term over all queries, those without a target included.

    function: `(prediction, label of each query or -1) -> values, weights`, both (..., queries).
    prediction: name of the logits.
    target: name of the target field that holds the classes.
    divide_by: the sum of the values is divided by the number of `boxes` or by the sum of the `weights`.
    weight: factor of the term.
    """

    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    prediction: str
    target: str
    divide_by: Literal["boxes", "weights"]
    weight: float = 1.0


@dataclass(frozen=True)
class SetLoss:
    """The weighted terms of a set prediction, with the auxiliary losses of all decoder layers.

    Carion et al. (ECCV 2020), section 3.1 and "auxiliary decoding losses".
    """

    terms: Mapping[str, PairLoss | ClassLoss]

    def __call__(
        self, predictions: Mapping[str, Tensor], targets: SetTargets, matches: Matches, num_boxes: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Weighted terms, to be summed.

        Args:
            predictions: name -> (batch, queries, ...), or (layers, batch, queries, ...).
            targets: what the queries were matched with.
            matches: of all layers.
            num_boxes: what the terms are divided by, `average_count` of the targets by default.

        Returns:
            `name` for the last (or only) layer, `name/layer0` and so on for those before it.

        Raises:
            UsageError: a term names a prediction or a field that is not there, or divides by something unknown.
            DataError: the matches belong to other targets.
        """
        if matches.query.shape[-2:] != (len(targets.counts), targets.most):
            wanted = f"(..., {len(targets.counts)}, {targets.most})"
            raise DataError("matches of other targets", where="matches", got=tuple(matches.query.shape), wanted=wanted)
        if num_boxes is None:
            num_boxes = average_count(targets.counts, matches.query.device)
        terms: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            if term.weight != 0:
                if isinstance(term, ClassLoss):
                    value = _class_term(name, term, predictions, targets, matches, num_boxes)
                else:
                    value = _pair_term(name, term, predictions, targets, matches, num_boxes)
                value = term.weight * value
                *auxiliary, terms[name] = value.unbind() if value.ndim else (value,)
                terms |= {f"{name}/layer{i}": layer for i, layer in enumerate(auxiliary)}
        return terms


def average_count(counts: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Number of targets per process, at least 1: the mean over all processes where there are several.

    Args:
        counts: (batch,) of each sample.
        device: of the result.
    """
    (count,) = send([counts.sum().float()], torch.device(device))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count.clamp(min=1)


def _pair_term(
    name: str,
    term: PairLoss,
    predictions: Mapping[str, Tensor],
    targets: SetTargets,
    matches: Matches,
    num_boxes: Tensor,
) -> Tensor:
    matched = [matches.take(_named(predictions, key, name)) for key in term.predictions]
    wanted, known = [], matches.present
    for key in term.targets:
        target = _named(targets.fields, key, name)
        finite = target.isfinite()
        known = known & (finite if finite.ndim == 2 else finite.flatten(2).all(-1))
        wanted.append(target.nan_to_num(0, 0, 0).expand(*matches.query.shape[:-2], *target.shape))
    values = term.function(*matched, *wanted)
    return torch.where(known, values, 0).sum((-1, -2)) / num_boxes


def _class_term(
    name: str,
    term: ClassLoss,
    predictions: Mapping[str, Tensor],
    targets: SetTargets,
    matches: Matches,
    num_boxes: Tensor,
) -> Tensor:
    logits = _named(predictions, term.prediction, name)
    classes = _named(targets.fields, term.target, name)
    found = matches.target_of_queries(logits.shape[matches.query.ndim - 1])
    if targets.most == 0:
        labels = found
    else:
        classes = classes.expand(*found.shape[:-1], targets.most)
        labels = torch.where(found < 0, -1, classes.take_along_dim(found.clamp(min=0), dim=-1))
    values, weights = term.function(logits, labels)
    if term.divide_by == "boxes":
        return values.sum((-1, -2)) / num_boxes
    if term.divide_by == "weights":
        return values.sum((-1, -2)) / weights.sum((-1, -2))
    raise UsageError("unknown divisor", where=f"loss '{name}'", got=term.divide_by, wanted="boxes or weights")


def _named(fields: Mapping[str, Tensor], key: str, name: str) -> Tensor:
    if key not in fields:
        raise UsageError("no such field", where=f"loss '{name}'", got=key, wanted=", ".join(fields))
    return fields[key]
