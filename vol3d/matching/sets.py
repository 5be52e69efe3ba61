"""What matching works on: targets of a batch padded to one size, and which query belongs to which target.

Everything keeps fixed shapes, so that on a GPU nothing has to wait for the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from vol3d.errors import DataError


@dataclass(frozen=True)
class SetTargets:
    """Targets of a batch.

    fields: name -> (batch, most, ...); rows from a sample's count on are padding.
    counts: (batch,) number of targets of each sample, on the CPU.
    """

    fields: Mapping[str, Tensor]
    counts: Tensor

    def __post_init__(self) -> None:
        for name, field in self.fields.items():
            if field.ndim < 2 or field.shape[:2] != (len(self.counts), self.most):
                wanted = f"({len(self.counts)}, {self.most}, ...)"
                raise DataError("targets do not fit together", where=name, got=tuple(field.shape), wanted=wanted)
        if len(self.counts) and (self.counts.min() < 0 or self.counts.max() > self.most):
            raise DataError("wrong counts", where="counts", got=self.counts.tolist(), wanted=f"0 to {self.most}")

    @property
    def most(self) -> int:
        """Rows of the padded fields."""
        return next(iter(self.fields.values())).shape[1] if self.fields else 0

    @staticmethod
    def pad(samples: Sequence[Mapping[str, Tensor]]) -> SetTargets:
        """Targets from one mapping (name -> (count, ...)) per sample, padded with zeros.

        Raises:
            DataError: samples with other names, or fields of one sample that differ in length.
        """
        names = list(samples[0]) if samples else []
        counts = []
        for index, sample in enumerate(samples):
            lengths = {name: len(field) for name, field in sample.items()}
            if set(sample) != set(names) or len(set(lengths.values())) > 1:
                wanted = f"{', '.join(names)}, all of one length"
                raise DataError("targets do not fit together", where=f"sample {index}", got=lengths, wanted=wanted)
            counts.append(next(iter(lengths.values()), 0))
        fields = {
            name: torch.nn.utils.rnn.pad_sequence([sample[name] for sample in samples], batch_first=True)
            for name in names
        }
        return SetTargets(fields, torch.tensor(counts, dtype=torch.int64))


@dataclass(frozen=True)
class Matches:
    """The outcome of matching.

    query: (..., batch, most) index of the query of each target, -1 for padding; leading dimensions are decoder layers.
    """

    query: Int64[Tensor, "*layers batch most"]

    @property
    def present(self) -> Tensor:
        """(..., batch, most) where there is a pair."""
        return self.query >= 0

    def take(self, prediction: Shaped[Tensor, "*layers batch queries *rest"]) -> Tensor:
        """Predictions of the matched queries, (..., batch, most, *rest); rows without a pair hold those of query 0."""
        axis = self.query.ndim - 1
        index = self.query.clamp(min=0).reshape(*self.query.shape, *[1] * (prediction.ndim - axis - 1))
        return prediction.take_along_dim(index, dim=axis)

    def target_of_queries(self, num_queries: int) -> Int64[Tensor, "*layers batch queries"]:
        """Index of the target of each query, -1 for a query without one."""
        shape = (*self.query.shape[:-1], num_queries + 1)
        out = torch.full(shape, -1, dtype=torch.int64, device=self.query.device)
        targets = torch.arange(self.query.shape[-1], device=self.query.device).expand_as(self.query)
        # Padding writes into a last column that is cut off.
        out.scatter_(-1, torch.where(self.present, self.query, num_queries), targets)
        return out[..., :num_queries]
