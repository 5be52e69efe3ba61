"""A network for volumes with its loss: what the engine trains."""

from __future__ import annotations

from jaxtyping import Float, Integer
from torch import Tensor, nn

from medical.losses import LossSettings, segmentation_loss
from vol3d.errors import UsageError


class Segmenter(nn.Module):
    """Joins a network with the loss that it is trained by.

    Args:
        network: (B, channels, i, j, k) -> logits (B, outputs, i, j, k).
        loss: weights and variants of the loss.
        regions: outputs are overlapping regions rather than classes.
    """

    def __init__(self, network: nn.Module, loss: LossSettings, regions: bool) -> None:
        super().__init__()
        self.network, self.loss_settings, self.regions = network, loss, regions

    @staticmethod
    def network_of(model: nn.Module) -> nn.Module:
        """The network in a segmenter.

        Raises:
            UsageError: the model is none.
        """
        if not isinstance(model, Segmenter):
            raise UsageError("a model of another kind", where="model", got=type(model).__name__, wanted="Segmenter")
        return model.network

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits of each voxel."""
        return self.network(image)

    def loss(self, prediction: Float[Tensor, "b o i j k"], target: Integer[Tensor, "b t i j k"]) -> dict[str, Tensor]:
        """Named terms whose sum is minimised."""
        return segmentation_loss(prediction, target, self.loss_settings, self.regions)
