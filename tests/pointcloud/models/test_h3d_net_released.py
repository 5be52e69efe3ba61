"""mmdetection3d's H3DNet: the original's numbers with the same weights, and strict reading.

Boxes, sums and losses below are those of mmdetection3d's modules (1.4.0), run outside of this repository with the
tensors and scenes of `official_h3d_net`; see docs/detection.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vol3d
from pointcloud.models.h3d_net.loss import H3DNetLossSettings, MatchLossSettings
from pointcloud.models.h3d_net.model import H3DNet, H3DNetPrediction, H3DNetSettings
from pointcloud.models.layers.proposal_loss import ProposalLossSettings, VoteLossSettings
from pointcloud.models.released.h3d_net import BINS, RELEASED, load
from tests.pointcloud.models import official_h3d_net as official
from vol3d.errors import CheckpointError

NAME, POINTS, SEED = "h3dnet-scannet", (128, 96, 48, 24), 8
BOXES = [
    [0.92252, 2.35139, -0.51411, 0.64762, 0.78089, 1.3011],
    [0.1469, 1.64954, 0.90127, 1.16785, 0.99172, 0.49299],
    [0.32387, 1.11236, 0.69912, 0.64949, 0.7814, 1.30142],
    [1.03964, -0.44444, -0.55641, 0.64773, 0.78425, 1.3014],
]  # of the first and the eighth proposal of two scenes
OBJECTNESS = [0.44579, 0.44595, 0.44594, 0.44679, 0.44282, 0.44233]
SUMS = {
    "boxes": 175.889,
    "objectness": 14.255,
    "matches": 1401.396,
    "same_class": 1298.433,
    "horizontal": 486.098,
    "upright": 512.856,
    "edges": 517.836,
}  # of absolute values
LOSSES = {
    "vote": 5.80244,
    "objectness": 0.93402,
    "center": 2.71441,
    "size_class": 2.93068,
    "size_residual": 5.80169,
    "class": 2.84367,
    "angle_residual": 0.04473,
    "objectness/refined": 0.80066,
    "center/refined": 2.66169,
    "size_class/refined": 0.2871,
    "size_residual/refined": 5.49328,
    "class/refined": 0.29451,
    "angle_residual/refined": 0.00115,
    "exists/horizontal": 54.66867,
    "vote/horizontal": 4.89567,
    "center/horizontal": 0.28338,
    "class/horizontal": 2.93399,
    "size/horizontal": 0.47702,
    "exists/upright": 32.82468,
    "vote/upright": 7.00658,
    "center/upright": 0.32575,
    "class/upright": 2.88079,
    "size/upright": 0.33013,
    "exists/edges": 39.99054,
    "vote/edges": 3.48296,
    "center/edges": 0.41031,
    "class/edges": 5.81013,
    "match": 0.50576,
    "same_class": 2.30297,
    "objectness/matched": 0.62625,
    "objectness/counted": 0.40033,
    "distance": 0.33695,
}
THEIRS = H3DNetLossSettings(
    proposals=VoteLossSettings(size_residual=30),
    matching=MatchLossSettings(distance=1),
    refined=ProposalLossSettings(objectness=5, angle_bin=0.1, size_class=0.1, classes=0.1, size_residual=30),
)
"""mmdetection3d's weights."""


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> H3DNetSettings:
    """The released network with few points."""
    settings, class_names = RELEASED[NAME]
    levels = tuple(
        level.model_copy(update={"points": points})
        for level, points in zip(settings.pointnet2.levels, POINTS, strict=True)
    )
    few = settings.model_copy(
        update={
            "pointnet2": settings.pointnet2.model_copy(update={"levels": levels}),
            "aggregation": settings.aggregation.model_copy(update={"points": 16}),
        }
    )
    monkeypatch.setitem(RELEASED, NAME, (few, class_names))
    return few


def save(path: Path, sizes: H3DNetSettings, **more: Any) -> dict[str, Tensor]:
    """Writes a file as mmdetection3d does, and gives its tensors."""
    class_names = RELEASED[NAME][1]
    weights = official.weights(sizes, len(class_names), SEED)
    torch.save({"meta": official.meta(sizes, class_names, **more), "state_dict": weights}, path)
    return weights


def absolute(prediction: H3DNetPrediction) -> dict[str, float]:
    found = {
        "boxes": prediction.boxes[1],
        "objectness": prediction.objectness[1],
        "matches": prediction.refined.matches,
        "same_class": prediction.refined.same_class,
        "horizontal": prediction.horizontal.centers,
        "upright": prediction.upright.centers,
        "edges": prediction.edges.centers,
    }
    return {name: float(values.double().abs().sum()) for name, values in found.items()}


def test_boxes_and_losses_are_the_originals(sizes: H3DNetSettings, tmp_path: Path) -> None:
    save(tmp_path / "a.pth", sizes)
    model = vol3d.load_released(NAME, tmp_path / "a.pth")
    assert isinstance(model, H3DNet) and not model.training
    scenes = [official.scene(seed)[:2] for seed in (1, 2)]
    with torch.no_grad():
        prediction = model([cloud for cloud, _ in scenes])
        model.settings = model.settings.model_copy(update={"loss": THEIRS})
        losses = model.loss(prediction, [target for _, target in scenes])
    close: dict[str, Any] = {"rtol": 0, "atol": 2e-5}
    torch.testing.assert_close(prediction.boxes[1][:, [0, 7], :6].flatten(0, 1), torch.tensor(BOXES), **close)
    assert not prediction.boxes[..., 6].any()
    torch.testing.assert_close(prediction.objectness[1][:, [0, 3, 7]].flatten(), torch.tensor(OBJECTNESS), **close)
    assert absolute(prediction) == pytest.approx(SUMS, rel=1e-5, abs=1e-3)
    assert {name: float(term) for name, term in losses.items() if name in LOSSES} == pytest.approx(
        LOSSES, rel=1e-5, abs=2e-5
    )
    assert set(losses) - set(LOSSES) == {"angle_bin", "angle_bin/refined"}  # of 24 bins there, of one here


def test_parameters_that_are_left_out_are_counted(sizes: H3DNetSettings, tmp_path: Path) -> None:
    weights = save(tmp_path / "a.pth", sizes)
    ours = sum(parameter.numel() for parameter in load(NAME, tmp_path / "a.pth").parameters())
    no_parameters = ("running_mean", "running_var", "num_batches_tracked")
    theirs = {name: t.numel() for name, t in weights.items() if not name.endswith(no_parameters)}
    biases = sum(count for name, count in theirs.items() if name.endswith("conv.bias"))
    bins, zeros = 2 * 2 * (BINS - 1) * (128 + 1), (6 + 12) * 128
    assert (sum(theirs.values()), biases, bins, zeros) == (4740278, 4800, 11868, 2304)
    assert ours == 4740278 - 4800 - 11868 - 2304


def test_options_of_the_file_decide_or_are_refused(sizes: H3DNetSettings, tmp_path: Path) -> None:
    weights = save(tmp_path / "a.pth", sizes)
    assert load(NAME, tmp_path / "a.pth").settings.proposals_at == "seeds"
    assert load(NAME, tmp_path / "a.pth", {"proposals_at": "votes"}).settings.proposals_at == "votes"
    torch.save(weights, tmp_path / "bare.pth")
    assert load(NAME, tmp_path / "bare.pth").settings.proposals_at == "seeds"
    about = official.meta(sizes, RELEASED[NAME][1])
    for old, new, message in (
        ("num_streams=4", "num_streams=2", r"another `backbone\.num_streams`.*got 2, wanted 4"),
        ("radius=0.5", "radius=0.4", r"another `roi_head\.bbox_head\.suface_matching_cfg\.radius`"),
        ("sample_mod='seed'", "sample_mod='random'", "sample votes that is not known"),
    ):
        torch.save(
            {"meta": about | {"config": about["config"].replace(old, new)}, "state_dict": weights}, tmp_path / "b.pth"
        )
        with pytest.raises(CheckpointError, match=message):
            load(NAME, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="wanted proposals_at"):
        load(NAME, tmp_path / "a.pth", {"towers": 2})
    save(tmp_path / "c.pth", sizes, CLASSES=("chair",))
    with pytest.raises(CheckpointError, match="another `classes`"):
        load(NAME, tmp_path / "c.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {"bbox_head.vote_module.conv_out.weight": torch.zeros(1)}, "got VoteNet, wanted H3DNet"),
        (lambda w: {"backbone_net1.sa1.mlp_module.layer0.conv.weight": torch.zeros(1)}, "in its authors' layout"),
        (lambda w: {}, "got no tensors"),
        (lambda w: w | {"rpn_head.conv_pred.conv_out.weight": torch.zeros(1)}, "before mmdetection3d 0.6.*converters"),
        (lambda w: w | {"rpn_head.conv_pred.conv_cls.weight": torch.zeros(12, 128, 1)}, "other classes"),
        (lambda w: w | {"roi_head.primitive_z.more": torch.zeros(1)}, r"roi_head\.primitive_z\.more"),
        (lambda w: {n: t for n, t in w.items() if "flag_pred.bias" not in n}, r"horizontal\.exists\.1\.bias"),
        (lambda w: {n: t[:40] if n.endswith("bbox_pred.3.weight") else t for n, t in w.items()}, r"head\.says\.weight"),
    ],
)
def test_other_files_are_refused(sizes: H3DNetSettings, change: Any, message: str, tmp_path: Path) -> None:
    torch.save(change(official.weights(sizes, 18)), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load(NAME, tmp_path / "a.pth")
