"""The losses of H3DNet: of the primitives, of the proposals, of matching the two, and of the refinement.

Zhang et al. (H3DNet), ECCV 2020, with the weights of the authors' code. mmdetection3d weighs otherwise: size residuals
by 30, the primitives' distance by 1, and its refined outputs are also compared in objectness (5), in the bin of the
angle, the mean size and the class (0.1 each); it measures that distance from a box of the refinement's own mean size,
which no result has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pointcloud.models.h3d_net.primitives import Primitives
from pointcloud.models.h3d_net.refinement import FACES, faces_and_edges
from pointcloud.models.h3d_net.targets import PrimitiveTargets, PrimitiveTargetSettings, primitive_targets
from pointcloud.models.layers.proposal_loss import (
    Assignment,
    ProposalLossSettings,
    VoteLossSettings,
    assign_by_distance,
    mean_of,
    proposal_losses,
    vote_loss,
    weighted_loss,
)
from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.matching import cross_entropy_loss

if TYPE_CHECKING:
    from pointcloud.models.h3d_net.model import H3DNetPrediction

_REFINED = ProposalLossSettings(objectness=0, angle_bin=0, size_class=0, classes=0)


class PrimitiveLossSettings(Settings):
    """Weights of the primitives' terms."""

    exists: float = Field(30.0, ge=0, description="cross entropy of lying on a primitive or not")
    absent: float = Field(0.4, ge=0, description="weight of seeds on none in it")
    present: float = Field(0.6, ge=0, description="weight of seeds on one")
    vote: float = Field(10.0, ge=0, description="L1 from the votes of seeds on one to its centre")
    center: float = Field(0.5, ge=0, description="L1 from their predicted centres to it")
    size: float = Field(0.5, ge=0, description="L1 of the lengths of the face's edges")
    classes: float = Field(1.0, ge=0, description="cross entropy of the object's class")
    edges: float = Field(2.0, ge=0, description="factor of the centre and class terms of edges")
    targets: PrimitiveTargetSettings = PrimitiveTargetSettings()


class MatchLossSettings(Settings):
    """Weights of the terms that compare proposals with primitives."""

    match: float = Field(
        5.0, ge=0, description="cross entropy of a primitive at a face or edge of the proposal or none"
    )
    same_class: float = Field(5.0, ge=0, description="cross entropy of such a primitive of the object's class or none")
    negative: float = Field(0.3, ge=0, description="weight of faces and edges without one in both")
    positive: float = Field(0.7, ge=0, description="weight of those with one")
    objectness: float = Field(2.5, ge=0, description="refined objectness, of proposals that count")
    matched_objectness: float = Field(2.5, ge=0, description="refined objectness, of proposals with any match")
    distance: float = Field(10.0, ge=0, description="from matched faces and edges of refined boxes to the object's, m")
    reach_m: float = Field(
        0.3, gt=0, description="a primitive this near to both the proposal's and the object's matches"
    )


class H3DNetLossSettings(Settings):
    """Weights of all terms, and what decides the targets."""

    proposals: VoteLossSettings = VoteLossSettings()
    primitives: PrimitiveLossSettings = PrimitiveLossSettings()
    matching: MatchLossSettings = MatchLossSettings()
    refined: ProposalLossSettings = Field(_REFINED, description="of the refined outputs, against the same objects")


def h3d_net_losses(
    prediction: H3DNetPrediction,
    targets: Sequence[BoxTargets],
    mean_sizes: Float[Tensor, "classes 3"],
    settings: H3DNetLossSettings,
) -> dict[str, Tensor]:
    """All terms, weighted; `targets` are the annotated boxes of each scan."""
    first = settings.proposals
    assignment = assign_by_distance(prediction.places, targets, first.near_m, first.far_m)
    common = (assignment, targets, mean_sizes)
    terms = {"vote": first.vote * vote_loss(prediction.seeds, prediction.votes, targets)}
    terms |= proposal_losses(prediction.outputs, prediction.boxes[0, ..., :3], *common, first)
    terms |= _primitive_terms(prediction, targets, settings.primitives)
    terms |= matching_losses(prediction, assignment, targets, settings)
    refined = proposal_losses(prediction.refined.outputs, prediction.boxes[1, ..., :3], *common, settings.refined)
    return terms | {f"{name}/refined": term for name, term in refined.items()}


def _primitive_terms(
    prediction: H3DNetPrediction, targets: Sequence[BoxTargets], settings: PrimitiveLossSettings
) -> dict[str, Tensor]:
    """Of the three kinds."""
    of_scans = []
    for xyz, target, picks in zip(prediction.points, targets, prediction.picks, strict=True):
        kinds = primitive_targets(xyz.float(), target, settings.targets)
        of_scans.append([PrimitiveTargets(*(values[picks] for values in kind)) for kind in kinds])
    terms: dict[str, Tensor] = {}
    for name, *wanted in zip(("horizontal", "upright", "edges"), *of_scans, strict=True):
        joined = PrimitiveTargets(*(torch.stack(parts) for parts in zip(*wanted, strict=True)))
        factor = settings.edges if name == "edges" else 1.0
        found = primitive_losses(getattr(prediction, name), joined, settings, factor)
        terms |= {f"{term}/{name}": value for term, value in found.items()}
    return terms


def primitive_losses(
    predicted: Primitives, wanted: PrimitiveTargets, settings: PrimitiveLossSettings, factor: float = 1.0
) -> dict[str, Tensor]:
    """Weighted terms of one kind of primitive.

    Args:
        predicted: of the seeds (B, S, ...).
        wanted: of the same seeds, (B, S, ...).
        factor: of the centre and class terms.
    """
    on = wanted.exists
    centers, labels = wanted.centers[on], wanted.labels[on]
    exists = weighted_loss(predicted.exists, on, settings.present, settings.absent)
    terms = {
        "exists": settings.exists * exists.mean(),
        "vote": settings.vote * mean_of((predicted.votes[on] - centers).abs().sum(dim=1)),
        "center": factor * settings.center * mean_of((predicted.centers[on] - centers).abs().sum(dim=1)),
        "class": factor * settings.classes * mean_of(cross_entropy_loss(predicted.class_logits[on], labels)),
    }
    if predicted.sizes.shape[-1]:
        terms["size"] = settings.size * mean_of((predicted.sizes[on] - wanted.sizes[on]).abs().sum(dim=1))
    return terms


def matching_losses(
    prediction: H3DNetPrediction,
    assignment: Assignment,
    targets: Sequence[BoxTargets],
    settings: H3DNetLossSettings,
) -> dict[str, Tensor]:
    """Weighted terms of matches, of the refined objectness, and of the distance of faces and edges that matched.

    Args:
        prediction: of the network.
        assignment: what the proposals should predict.
        targets: annotated boxes of each scan.
        settings: weights.
    """
    size, counted, refined = settings.matching, assignment.counted, prediction.refined
    wanted = faces_and_edges(assignment.boxes)  # (B, Q, 18, 3)
    matched, same = _matches(prediction, wanted, assignment, targets, size.reach_m)  # (B, Q, 18)

    def of_pairs(logits: Tensor, label: Tensor) -> Tensor:
        return mean_of(weighted_loss(logits, label, size.positive, size.negative)[counted].flatten())

    first, positive = settings.proposals, assignment.positive
    objectness = weighted_loss(refined.outputs.objectness, positive, first.positive, first.negative)  # (B, Q)
    away = (faces_and_edges(prediction.boxes[1]) - wanted).square().sum(dim=-1)
    distance = (away + 1e-6).sqrt()  # as the authors': the root's gradient is finite
    return {
        "match": size.match * of_pairs(refined.matches, matched),
        "same_class": size.same_class * of_pairs(refined.same_class, same),
        "objectness/counted": size.objectness * mean_of(objectness[counted]),
        "objectness/matched": size.matched_objectness * mean_of(objectness[matched.any(dim=-1)]),
        "distance": size.distance * mean_of(distance[matched & positive[..., None]]),
    }


@torch.no_grad()
def _matches(
    prediction: H3DNetPrediction, wanted: Tensor, assignment: Assignment, targets: Sequence[BoxTargets], reach_m: float
) -> tuple[Bool[Tensor, "b q 18"], Bool[Tensor, "b q 18"]]:
    """Where a primitive lies at a proposal's face or edge and at its object's, and where it is of the object's class.

    The primitive is the one nearest to the object's face or edge (B, Q, 18, 3). None matches in a scan without objects.
    """
    proposed, faces = faces_and_edges(prediction.boxes[0]), len(FACES)
    kinds = (
        (slice(0, faces), (prediction.horizontal, prediction.upright)),
        (slice(faces, None), (prediction.edges,)),
    )
    matched, same = (
        torch.zeros_like(wanted[..., 0], dtype=torch.bool),
        torch.zeros_like(wanted[..., 0], dtype=torch.bool),
    )
    for part, primitives in kinds:
        xyz = torch.cat([kind.reachable() for kind in primitives], dim=1)  # (B, P, 3)
        classes = torch.cat([kind.class_logits for kind in primitives], dim=1).argmax(dim=-1)  # (B, P)
        for i, target in enumerate(targets):
            if len(target.boxes):
                away, which = _distances(wanted[i, :, part], xyz[i]).min(dim=-1)  # (Q, k)
                off = (proposed[i, :, part] - xyz[i][which]).norm(dim=-1)
                matched[i, :, part] = (away < reach_m) & (off < reach_m)
                same[i, :, part] = classes[i][which] == assignment.labels[i, :, None]
    return matched, matched & same


def _distances(places: Tensor, xyz: Tensor) -> Tensor:
    """(Q, k, P) metres; without products, which are inexact where primitives are far away."""
    return torch.cdist(places, xyz, compute_mode="donot_use_mm_for_euclid_dist")
