"""3DETR's loss: the original's numbers (`oracle/3detr/B_*`, whichever are there), its quirks, bad targets."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pointcloud.conventions import boxes_from_three_detr
from pointcloud.models.three_detr.loss import (
    SUN_RGBD,
    MatchSettings,
    SetLossSettings,
    encode_targets,
    matcher,
    set_loss,
)
from pointcloud.models.three_detr.released import LOSS_QUIRKS
from pointcloud.structures.bounds import Bounds
from pointcloud.structures.targets import BoxTargets
from tests.conftest import PROJECT
from tests.pointcloud.models.test_three_detr_oracle import official_corners

# Names of the original's predictions and of ours, and of its losses and of ours.
LEAVES = {
    "sem_cls_logits": "class_logits",
    "center_normalized": "center",
    "size_normalized": "size",
    "angle_logits": "angle_logits",
    "angle_residual_normalized": "angle_residual",
}
TERMS = {
    "class": "loss_sem_cls",
    "angle_bin": "loss_angle_cls",
    "angle_residual": "loss_angle_reg",
    "center": "loss_center",
    "size": "loss_size",
    "giou": "loss_giou",
}


def folders() -> list[str]:
    root = Path(os.environ.get("VOL3D_TEST_ORACLE", PROJECT.parent / "shared" / "oracle")) / "3detr"
    return sorted(folder.name for folder in root.glob("B_*")) or ["B_criterion_scannet"]


def settings_of(arguments: str, weights: dict[str, float]) -> SetLossSettings:
    """Our settings for the original's command line."""
    words = arguments.replace("=", " ").split()
    given = {key.removeprefix("--"): value for key, value in pairwise(words) if key[:2] == "--"}
    match = MatchSettings(
        class_probability=float(given.get("matcher_cls_cost", 1)),
        giou=float(given.get("matcher_giou_cost", 2)),
        center=float(given.get("matcher_center_cost", 0)),
        objectness=float(given.get("matcher_objectness_cost", 0)),
    )
    return SetLossSettings(
        match=match,
        classes=weights["loss_sem_cls_weight"],
        background=float(given.get("loss_no_object_weight", 0.2)),
        angle_bin=weights["loss_angle_cls_weight"],
        angle_residual=weights["loss_angle_reg_weight"],
        center=weights["loss_center_weight"],
        size=weights["loss_size_weight"],
        giou=weights["loss_giou_weight"],
        **LOSS_QUIRKS,
    )


class Criterion:
    """One fixture as our tensors."""

    def __init__(self, folder: Path) -> None:
        stored = load_file(folder / "inputs.safetensors")
        self.meta = json.loads((folder / "expected_losses.json").read_text())
        self.expected = self.meta["results"]["nocython"]
        self.numbers = load_file(folder / "expected_nocython.safetensors")
        self.settings = settings_of(self.meta["script_args"], self.expected["weights"])

        def layers(name: str) -> Tensor:
            return torch.stack([stored[f"pred.layer{layer}.{name}"] for layer in range(3)])

        def boxes(center: Tensor, size: Tensor, angle: Tensor) -> Tensor:
            return boxes_from_three_detr(torch.cat((center, size, angle[..., None]), dim=-1))

        self.outputs = {new: layers(old).requires_grad_() for old, new in LEAVES.items()}
        self.outputs["class_probability"], self.outputs["objectness"] = (
            layers("sem_cls_prob"),
            layers("objectness_prob"),
        )
        names = ("center_unnormalized", "size_unnormalized", "angle_continuous")
        self.outputs["boxes"] = boxes(*map(layers, names)).requires_grad_()
        self.truth = {key.removeprefix("target."): value for key, value in stored.items() if key.startswith("target.")}
        truth = boxes(*(self.truth[f"gt_box_{name}"] for name in ("centers", "sizes", "angles")))
        counts = self.truth["gt_box_present"].sum(1).long().tolist()
        labels = self.truth["gt_box_sem_cls_label"]
        self.targets = [BoxTargets(truth[i, :n], labels[i, :n]) for i, n in enumerate(counts)]
        self.bounds = Bounds(self.truth["point_cloud_dims_min"], self.truth["point_cloud_dims_max"])
        self.bins = self.outputs["angle_logits"].shape[-1]


@pytest.fixture(scope="module", params=folders())
def criterion(request: pytest.FixtureRequest, oracle_root: Path) -> Criterion:
    return Criterion(oracle_root / "3detr" / request.param)


def test_targets_are_encoded_as_the_original_does(criterion: Criterion) -> None:
    fields = encode_targets(criterion.targets, criterion.bounds, criterion.bins).fields
    for scene, target in enumerate(criterion.targets):
        truth = {name: value[scene, : len(target.labels)] for name, value in criterion.truth.items()}
        assert torch.equal(fields["angle_bin"][scene, : len(target.labels)], truth["gt_angle_class_label"])
        residual = fields["angle_residual"][scene, : len(target.labels)] * math.pi / criterion.bins
        torch.testing.assert_close(residual, truth["gt_angle_residual_label"], rtol=0, atol=2e-6)
        for name in ("center", "size"):
            wanted = truth[f"gt_box_{name}s_normalized"]
            torch.testing.assert_close(fields[name][scene, : len(wanted)], wanted, rtol=0, atol=1e-6)


def intersection(criterion: Criterion) -> Any:
    return "3detr" if criterion.meta["rotated_boxes_flag_used_by_official_code"] else "3detr_unrotated"


def test_costs_and_assignments_are_the_originals(criterion: Criterion) -> None:
    fields = encode_targets(criterion.targets, criterion.bounds, criterion.bins)
    match = matcher(criterion.settings.match, intersection(criterion))
    cost, query = match.cost(criterion.outputs, fields), match(criterion.outputs, fields).query
    for layer in range(3):
        for scene, target in enumerate(criterion.targets):
            key, count = f"layer{layer}.scene{scene}", len(target.labels)
            wanted = criterion.numbers[f"cost.{key}"]
            torch.testing.assert_close(cost[layer, scene, :count].T, wanted, rtol=0, atol=2e-5)
            pairs = zip(criterion.numbers[f"assign_gt.{key}"], criterion.numbers[f"assign_query.{key}"], strict=True)
            assert query[layer, scene, :count].tolist() == [int(q) for _, q in sorted(pairs, key=lambda pair: pair[0])]


def test_every_weighted_term_is_the_originals(criterion: Criterion) -> None:
    terms = set_loss(criterion.outputs, criterion.bounds, criterion.targets, criterion.settings)
    official = {k: v for k, v in criterion.expected["weighted_terms"].items() if "cardinality" not in k}
    for name, value in terms.items():
        kind, _, layer = name.partition("/layer")
        wanted = official.pop(f"{TERMS[kind]}_{layer}" if layer else TERMS[kind])
        assert value.item() == pytest.approx(wanted, abs=1e-5), name
    assert not any(official.values()), f"terms that we lack: {official}"
    assert sum(terms.values()).item() == pytest.approx(criterion.expected["total_loss"], rel=1e-5)


def test_gradients_are_the_originals(criterion: Criterion) -> None:
    total = sum(set_loss(criterion.outputs, criterion.bounds, criterion.targets, criterion.settings).values())
    boxes = criterion.outputs["boxes"]
    corners = official_corners(boxes)
    wanted: dict[str, list[Tensor]] = {}
    for layer in range(3):
        for old, new in LEAVES.items():
            zero = torch.zeros_like(criterion.outputs[new][layer])
            wanted.setdefault(new, []).append(criterion.numbers.get(f"grad.layer{layer}.{old}", zero))
        zero = torch.zeros_like(corners[layer])
        wanted.setdefault("boxes", []).append(criterion.numbers.get(f"grad.layer{layer}.box_corners", zero))
    # The original's GIoU looks at corners; what reaches the box goes through them.
    (through,) = torch.autograd.grad(corners, boxes, torch.stack(wanted.pop("boxes")))
    names = [*wanted, "boxes"]
    got = torch.autograd.grad(total, [criterion.outputs[name] for name in names], allow_unused=True)
    for name, gradient in zip(names, got, strict=True):
        official = through if name == "boxes" else torch.stack(wanted[name])
        gradient = torch.zeros_like(official) if gradient is None else gradient
        columns = slice(0, 6) if name == "boxes" and criterion.bins == 1 else slice(None)  # such boxes do not turn
        torch.testing.assert_close(gradient[..., columns], official[..., columns], rtol=0, atol=1e-6, msg=name)


def test_settings_are_those_of_the_scripts(criterion: Criterion) -> None:
    preset = SetLossSettings() if criterion.bins == 1 else SUN_RGBD
    assert preset.model_copy(update=LOSS_QUIRKS) == criterion.settings
