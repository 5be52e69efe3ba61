"""Hungarian matching: batched assignment, a matcher by named costs, and the set loss that follows it."""

from vol3d.matching.assignment import assign, assign_padded
from vol3d.matching.costs import (
    center_distance_cost,
    class_probability_cost,
    cross_entropy_cost,
    focal_class_cost,
    giou_cost,
    l1_cost,
    objectness_cost,
)
from vol3d.matching.losses import (
    cross_entropy_loss,
    giou_loss,
    huber_loss,
    l1_loss,
    sigmoid_focal_loss,
    softmax_class_loss,
)
from vol3d.matching.matcher import Cost, HungarianMatcher
from vol3d.matching.set_loss import ClassLoss, PairLoss, SetLoss, average_count
from vol3d.matching.sets import Matches, SetTargets

__all__ = [
    "ClassLoss",
    "Cost",
    "HungarianMatcher",
    "Matches",
    "PairLoss",
    "SetLoss",
    "SetTargets",
    "assign",
    "assign_padded",
    "average_count",
    "center_distance_cost",
    "class_probability_cost",
    "cross_entropy_cost",
    "cross_entropy_loss",
    "focal_class_cost",
    "giou_cost",
    "giou_loss",
    "huber_loss",
    "l1_cost",
    "l1_loss",
    "objectness_cost",
    "sigmoid_focal_loss",
    "softmax_class_loss",
]
