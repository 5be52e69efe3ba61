"""Chains of sparse layers and of layers on their features."""

from __future__ import annotations

from torch import Tensor, nn

from vol3d.errors import UsageError
from vol3d.sparse.tensor import SparseTensor

ON_FEATURES = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.Linear, nn.Identity, nn.Dropout)
ACTIVATIONS = tuple(
    kind
    for kind in vars(nn.modules.activation).values()
    if isinstance(kind, type) and kind.__module__ == nn.modules.activation.__name__
)


class SparseSequential(nn.Sequential):
    """`torch.nn.Sequential` for a `SparseTensor`: norms, activations and linear layers are applied to its features.

    Every other module is given the tensor itself and must return one.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Raises `UsageError` if a module does not return a sparse tensor."""
        for module in self:
            on_features = isinstance(module, (*ON_FEATURES, *ACTIVATIONS))
            x = x.with_features(module(x.features)) if on_features else module(x)
            if not isinstance(x, SparseTensor):
                got = f"{type(module).__name__} that returns {type(x).__name__}"
                raise UsageError("not a sparse layer", where="SparseSequential", got=got, wanted="a SparseTensor")
        return x


class SparseBatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` that trains on: with fewer than two rows, which have no variance, it uses the running
    statistics and leaves them as they are. Same parameters and state."""

    def forward(self, input: Tensor) -> Tensor:
        """[n, c] -> [n, c]."""
        if not self.training or input.shape[0] > 1 or not self.track_running_stats:
            return super().forward(input)
        return nn.functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )
