"""Pre-training of UNETR's encoder without labels; `start_from=RUN` of a segmentation then begins with it.

Images of the training cases and, with `unlabelled=ROOT`, further scans; labels are not read, and the validation cases
are only what the reconstruction is scored on, so that they stay unseen for the segmentation that follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn

from medical.augment import Augment, AugmentSettings, CropSettings
from medical.datasets.cases import Case
from medical.datasets.pairs import channel_complaint, read_image
from medical.datasets.prepared import load_prepared
from medical.models.masked_unetr import hide, reconstruction_loss
from medical.models.unetr import Unetr
from medical.seen import scan_numbers, scan_traits
from medical.segment import inference
from medical.task import MOST_MEASURED, SegmentationSettings, SegmentationTask
from medical.training_set import PreparedCase, held_in_memory, map_prepared
from medical.unlabelled.scans import prepared_scans, unlabelled_scans, without_label
from medical.unlabelled.settings import UnlabelledSettings
from vol3d.config.chosen import FromCatalogue
from vol3d.engine.seen import Seen, ranges_of, some_of
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Batch, Evaluation, Metric, Samples, Windows
from vol3d.errors import DataError, UsageError
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background

SCORE = "explained_share"
_METRIC = Metric(SCORE, "explained share", better="higher", headline=True, by_case=True)
Read = Callable[[str], PreparedCase]
_OF_LABELS = ("loss", "postprocess", "predict")


class MaskedSettings(SegmentationSettings):
    """Everything about a pre-training: those of a segmentation without what concerns labels."""

    model: Annotated[Any, FromCatalogue("models", "pretraining")]

    @model_validator(mode="after")
    def _nothing_of_labels(self) -> MaskedSettings:
        if math.prod(edge // self.model.patch for edge in self.window.size) < 2:
            raise ValueError(f"window.size must hold several patches of {self.model.patch}, got {self.window.size}")
        for name in _OF_LABELS:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is about labels, of which pre-training has none")
        if self.unlabelled is not None and self.unlabelled != UnlabelledSettings(root=self.unlabelled.root):
            raise ValueError("of unlabelled, pre-training takes the folder only: unlabelled=ROOT")
        return self


class MaskedWindow(NamedTuple):
    """A window (c, i, j, k), which of its patches are hidden, and the case that it is of."""

    image: Tensor
    hidden: Tensor
    name: str


class MaskedSamples(Samples):
    """`per_volume` windows of each scan in an epoch, with patches drawn to be hidden.

    Args:
        readers: name -> what reads the prepared case of that name; their order is that of the scans.
        augment: cuts and distorts.
        patch: edge in voxels.
        share: of the patches that are hidden.
    """

    def __init__(self, readers: Mapping[str, Read], augment: Augment, patch: int, share: float) -> None:
        self.names, self.readers, self.augment = tuple(readers), readers, augment
        self.patch, self.share = patch, share

    def __len__(self) -> int:
        return len(self.names) * self.augment.crop.per_volume

    def name(self, index: int) -> str:
        """The scan that sample `index` is cut from."""
        return self.names[index % len(self.names)]

    def sample(self, index: int, rng: np.random.Generator) -> MaskedWindow:
        """A window of scan `index` (modulo their number), and at least one hidden and one visible patch of it."""
        name = self.name(index)
        case = self.readers[name](name)
        image, _ = self.augment(case.image, case.label, rng)
        grid = [edge // self.patch for edge in image.shape[1:]]
        count = int(np.prod(grid))
        hidden = np.zeros(count, dtype=bool)
        hidden[rng.permutation(count)[: min(max(round(self.share * count), 1), count - 1)]] = True
        return MaskedWindow(image, torch.from_numpy(hidden.reshape(grid)), case.name)

    def collate(self, samples: Sequence[MaskedWindow]) -> Batch:
        """What the encoder sees (B, c, i, j, k), and what is hidden from it."""
        image, hidden = (torch.stack(each) for each in ([s.image for s in samples], [s.hidden for s in samples]))
        targets = {"image": image, "hidden": hidden}
        return Batch(hide(image, hidden, self.patch), targets, tuple(sample.name for sample in samples))


class MaskedModel(nn.Module):
    """The network with the loss of its reconstruction."""

    def __init__(self, network: Unetr) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """The image (B, c, i, j, k), each patch normalised, of one whose hidden patches are 0."""
        return self.network(image)

    def loss(self, prediction: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """The one term, which is minimised."""
        return {"reconstruction": reconstruction_loss(prediction, target["image"], target["hidden"])}


class MaskedTask(SegmentationTask):
    """Masked reconstruction of scans."""

    name: ClassVar[str] = "pretraining"
    settings_type: ClassVar[type[RunSettings]] = MaskedSettings
    settings: MaskedSettings

    def model(self) -> MaskedModel:  # type: ignore[override]
        """The network with fresh weights, and its loss."""
        settings = self.settings
        return MaskedModel(settings.model.build(len(self.channel_names), 1, settings.window.size))

    def trunk(self, model: nn.Module) -> nn.Module:
        """The network without its loss."""
        assert isinstance(model, MaskedModel)
        return model.network

    def training_module(self, model: nn.Module) -> nn.Module:
        """The model: there is nothing beside it."""
        return model

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> MaskedSamples:
        """Windows of the training cases' images, prepared in memory or mapped from disk, and of further scans."""
        settings, cases = self.settings, self.split.require().train
        if settings.prepared is None:
            own = held_in_memory(self._images(cases), len(cases))
        else:
            own = map_prepared(load_prepared(settings.prepared, settings.preprocess, self.split))
        readers = {case.name: own for case in cases}
        if settings.unlabelled is not None:
            sources = unlabelled_scans(self, settings.unlabelled.root)
            scans = prepared_scans(sources, self.channel_names, settings.preprocess, self.seen())
            readers |= dict.fromkeys(map(str, sources), held_in_memory(scans, len(sources)))
        return self._windows(readers, Augment(settings.augment, settings.crop, settings.window.size))

    def _images(self, cases: Sequence[Case]) -> Iterator[PreparedCase]:
        for case in cases:
            image = read_image(case.images)
            if wrong := channel_complaint(image, self.channel_names):
                raise DataError(wrong.what, where=case.name, do=wrong.do)
            yield without_label(case.name, image, self.settings.preprocess)

    def _windows(self, readers: Mapping[str, Read], augment: Augment) -> MaskedSamples:
        model = self.settings.model
        return MaskedSamples(readers, augment, model.patch, model.hidden)

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """Share of the detail in hidden patches that is explained, of one window of each validation case.

        Windows and hidden patches are the same in each evaluation. 1 is a perfect reconstruction, 0 none at all.
        """
        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        cases = self.split.require().validation
        if not cases:
            raise DataError("there is no case to evaluate", do="Check that the split has validation cases.")
        settings = self.settings
        plain = Augment(AugmentSettings(), CropSettings(), settings.window.size)
        rows = []
        for done, case in enumerate(self._images(cases)):
            progress(done, len(cases), case.name)
            samples = self._windows({case.name: lambda _, case=case: case}, plain)  # type: ignore[misc]
            batch = samples.collate([samples.sample(0, np.random.default_rng([0, done]))]).to(device)
            with inference(models, device), torch.inference_mode():
                found = torch.stack([one(batch.inputs) for one in models]).mean(dim=0)
                error = reconstruction_loss(found, batch.targets["image"], batch.targets["hidden"])
            rows.append({"case": case.name, SCORE: 1 - float(error)})
        score = float(np.mean([row[SCORE] for row in rows]))
        summary = {SCORE: score, "cases": len(rows), "data": self.split.name, "hidden patches": settings.model.hidden}
        return Evaluation(score, SCORE, summary, rows, metrics=(_METRIC,))

    @cached_property
    def _measured(self) -> Seen:
        """Of scans, whose labels are not read."""
        split = self.split.require()
        numbers = [scan_numbers(read_image(case.images)) for case in some_of(split.train, MOST_MEASURED)]
        return Seen(data=split.name, ranges=ranges_of(numbers, scan_traits(self.channel_names)))

    def segmented(
        self, models: Sequence[nn.Module], scan: Volume, device: torch.device, progress: Windows | None = None
    ) -> MaskPrediction:
        """Raises UsageError: nothing has been learned about classes yet."""
        do = "Train a segmentation with start_from=RUN first."
        raise UsageError("a pre-trained encoder finds no classes", where="CHECKPOINT", do=do)
