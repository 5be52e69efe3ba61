"""What every detector is: clouds in, a prediction, its loss, its boxes; and the settings that build it.

    Detector        forward, loss, decode
    SplitDetector   in two halves: clouds to tensors of a fixed size, dense layers from there on
    RoomDetector    proposals, from which post-processing chooses
    LidarDetector   a range of voxels around the scanner
    SetDetector     one box of each query, for distillation
    AttendingDetector  where its encoder looks

A model derives from the kinds that it is, so that a type checker sees what tasks may call. What a call returns never
depends on whether the model is in training mode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import Field
from torch import Tensor, nn

from pointcloud.structures.features import FLOOR_PERCENT, Feature
from pointcloud.structures.predicted_set import PredictedSet
from pointcloud.structures.proposals import Proposals
from pointcloud.structures.similarity import Similarity
from pointcloud.structures.targets import BoxTargets
from pointcloud.structures.voxels import VoxelSettings
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.scans.results.attention import AttentionMap
from vol3d.scans.results.detections import Detections

P = TypeVar("P")
"""What a detector predicts: a dataclass of its own."""

D = TypeVar("D", bound="Detector[Any]")


class DetectorSettings(Settings, ABC):
    """What the settings of all detectors have: a name in the catalogue, and columns of the clouds."""

    name: str
    features: tuple[Feature, ...] = Field((), description="what the network sees of a point besides its place")

    @abstractmethod
    def build(self, class_names: tuple[str, ...]) -> Detector[Any]:
        """The network with fresh weights.

        Args:
            class_names: in the order of the labels, without a background.
        """


class RoomDetectorSettings(DetectorSettings):
    """Of detectors for scans of rooms."""

    angle_bins: int = Field(1, ge=1, description="1: boxes do not turn")
    floor_percent: float = Field(
        FLOOR_PERCENT, ge=0, le=100, description="heights begin where this per cent of the points lie lower"
    )

    @abstractmethod
    def build(self, class_names: tuple[str, ...]) -> RoomDetector[Any]:
        """The network with fresh weights."""


class LidarDetectorSettings(DetectorSettings):
    """Of detectors for what a scanner sees around itself."""

    features: tuple[Feature, ...] = Field(("intensity",), description="what the network sees besides the place")
    voxels: VoxelSettings = VoxelSettings()
    ground: float | None = Field(
        None, description="z, m, to which the ground found in each sweep is shifted; null: sweeps stay as they are"
    )

    @abstractmethod
    def build(self, class_names: tuple[str, ...]) -> LidarDetector[Any]:
        """The network with fresh weights."""


class Detector(nn.Module, ABC, Generic[P]):
    """A network that finds objects in point clouds.

    Args:
        settings: sizes, from which `settings.build(class_names)` makes the same network again.
        class_names: in the order of the labels, without a background.

    >>> import torch
    >>> from pointcloud.models.anchors.point_pillars import PointPillarsSettings
    >>> model = PointPillarsSettings().build(("Car", "Pedestrian", "Cyclist")).eval()
    >>> isinstance(model, Detector), model.settings.features
    (True, ('intensity',))
    """

    settings: DetectorSettings
    class_layers: ClassVar[tuple[str, ...]]
    """Names of the layers whose outputs stand for classes, `*` for any: with other classes they begin anew."""

    def __init__(self, settings: DetectorSettings, class_names: tuple[str, ...]) -> None:
        super().__init__()
        self.settings, self.class_names = settings, tuple(class_names)

    if TYPE_CHECKING:

        def __call__(self, clouds: list[Tensor]) -> P: ...

    @classmethod
    def of(cls: type[D], model: nn.Module) -> D:
        """The model, known to be of this kind.

        Raises:
            UsageError: it is of another kind.
        """
        if not isinstance(model, cls):
            got, wanted = type(model).__name__, cls.__name__
            raise UsageError("a model of another kind", where="model", got=got, wanted=wanted)
        return model

    @abstractmethod
    def forward(self, clouds: list[Tensor]) -> P:
        """The prediction for clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: other columns than the features, values that are not finite.
        """

    @abstractmethod
    def loss(self, prediction: P, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Named terms whose sum is minimised.

        Raises:
            DataError: targets of another batch, or with a class or a box that the model cannot learn.
        """

    @abstractmethod
    def decode(self, prediction: P) -> list[Detections]:
        """The objects of each cloud, on the CPU."""


class SplitDetector(Detector[P]):
    """A detector in two halves: points to tensors of a fixed size, then dense layers, which run without the first."""

    def forward(self, clouds: list[Tensor]) -> P:
        """The prediction for clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: other columns than the features, values that are not finite.
        """
        inputs, context = self.encode(clouds)
        return self.prediction(self.dense(*inputs), context)

    @abstractmethod
    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], Any]:
        """What the dense layers see, batch first, and what else the prediction is made of; errors as `forward`."""

    @abstractmethod
    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the dense layers, batch first."""

    @abstractmethod
    def prediction(self, outputs: Sequence[Tensor], context: Any) -> P:
        """The prediction made of what `dense` and `encode` give."""

    @property
    def dense_layers(self) -> tuple[str, ...]:
        """Names of the modules of the second half."""
        return "backbone", "neck", "head"

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of what `dense` takes."""
        return ("bev",)

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """Names of what `dense` gives."""


class RoomDetector(Detector[P]):
    """A detector for scans of rooms."""

    settings: RoomDetectorSettings

    @abstractmethod
    def proposals(self, prediction: P) -> list[Proposals]:
        """What is proposed for each scan; `pointcloud.inference.postprocess` chooses among them."""

    def decode(self, prediction: P) -> list[Detections]:
        """Every proposal of each scan with its best class; scores are objectness times its probability."""
        return [scan.best(self.class_names) for scan in self.proposals(prediction)]


class LidarDetector(Detector[P]):
    """A detector for what a scanner sees around itself."""

    settings: LidarDetectorSettings

    def averaged(self, predictions: Sequence[P], views: Sequence[Similarity]) -> P | None:
        """One prediction out of those of mirrored views of the same clouds; None where only boxes can be merged."""
        return None


class AttendingDetector(Detector[P]):
    """A detector whose encoder is a transformer, so that one can see where it looks."""

    @abstractmethod
    def attention(self, cloud: Tensor, place: Tensor) -> AttentionMap:
        """Where the encoder's last layer looks from the encoded point nearest to a place (3DETR, figure 1).

        Args:
            cloud: (N, 3 + C) as for `forward`.
            place: (3,) metres, in the frame of the cloud.

        Raises:
            UsageError: its settings chose another encoder.
            DataError: as `forward`.
        """


class SetDetector(Detector[P]):
    """A detector whose queries predict one box each, and that can teach others and learn from them."""

    @property
    @abstractmethod
    def box_code(self) -> tuple[str, ...]:
        """What it states of a box, see `box_columns`: detectors that state other things cannot teach each other."""

    @abstractmethod
    def as_set(self, prediction: P) -> PredictedSet:
        """What the queries predict after each layer, in terms that two detectors can be compared in."""
