"""The released 3DETR, tensor by tensor: `oracle/3detr/A_*`, whichever of them are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import vol3d
from pointcloud.conventions import boxes_to_three_detr
from pointcloud.models.layers.set_abstraction import TokenSet
from pointcloud.models.three_detr.model import Encoder, ThreeDetr
from tests.conftest import PROJECT

# Absolute tolerances of the fixtures' README.
TOLERANCE = {
    "out.sem_cls_logits": 2e-4,
    "out.center_normalized": 2e-5,
    "out.center_unnormalized": 5e-5,
    "out.size_normalized": 3e-5,
    "out.size_unnormalized": 3e-4,
    "out.angle_logits": 2e-4,
    "out.angle_residual": 4e-4,
    "out.angle_residual_normalized": 2e-4,
    "out.angle_continuous": 5e-5,
    "out.angle_class_margin": 4e-4,
    "out.objectness_prob": 3e-5,
    "out.sem_cls_prob": 3e-5,
    "out.box_corners": 2e-4,
    "pre_encoder.features_first16": 3e-5,
    "encoder.features_first16": 5e-5,
    "encoder.projected_features_first16": 5e-5,
    "query.embed_first16": 3e-5,
    "encoder.pos_embed_first16": 3e-5,
    "decoder.features_first16": 1e-4,
}
UNSURE_ANGLE = 1e-3  # below this margin of the best bin the angle may be that of the next


def folders() -> list[str]:
    root = Path(os.environ.get("VOL3D_TEST_ORACLE", PROJECT.parent / "shared" / "oracle")) / "3detr"
    return sorted(folder.name for folder in root.glob("A_*")) or ["A_3detr_scannet"]


def official_corners(boxes: Tensor) -> Tensor:
    """Eight corners as the released code orders them, in its camera frame x, -z, y."""
    x, y, z, l, w, h, angle = boxes_to_three_detr(boxes).unbind(-1)  # noqa: E741
    signs = torch.tensor([(1, 1, 1), (1, 1, -1), (-1, 1, -1), (-1, 1, 1)]).repeat(2, 1)
    signs[4:, 1] = -1
    dx, dy, dz = (0.5 * edge[..., None] * signs[:, i] for i, edge in enumerate((l, h, w)))
    cos, sin = angle.cos()[..., None], angle.sin()[..., None]
    return torch.stack([cos * dx + sin * dz + x[..., None], dy - z[..., None], -sin * dx + cos * dz + y[..., None]], -1)


class Watch:
    """Keeps what some modules of a network gave, or were given, in its last forward pass."""

    def __init__(self, model: ThreeDetr) -> None:
        self.given: dict[str, Any] = {}
        self.masks: list[Tensor] = []
        for name in ("aggregate", "encoder", "project", "embed", "place_queries", "decoder"):
            getattr(model, name).register_forward_hook(lambda _m, _i, out, name=name: self.given.update({name: out}))
        if isinstance(model.encoder, Encoder) and len(model.encoder.layers):
            model.encoder.layers[-1].register_forward_hook(lambda _m, _i, out: self.given.update(refined=out))
        if hasattr(model.encoder, "interim"):
            model.encoder.interim.register_forward_hook(lambda _m, _i, out: self.given.update(interim=out))
            for layer in model.encoder.layers:
                layer.attention.register_forward_pre_hook(self._mask)

    @property
    def encoded(self) -> TokenSet:
        """The tokens behind the encoder; one without sampling is called with their features alone."""
        if "encoder" in self.given:
            return self.given["encoder"]
        return self.given["aggregate"]._replace(features=self.given["refined"])

    def _mask(self, _module: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.masks.append(arguments[3])


def ours(model: ThreeDetr, clouds: list[Tensor]) -> dict[str, Tensor]:
    """Our tensors under the fixture's names."""
    watch = Watch(model)
    with torch.no_grad():
        prediction = model(clouds)
    terms, given, outputs = prediction.for_loss(), watch.given, prediction.outputs
    bins, queries = outputs.angle_logits.shape[-1], prediction.query_xyz.shape[1]
    best = outputs.angle_logits.sort(dim=-1, descending=True).values
    found = {
        "in.point_cloud_dims_min": prediction.bounds.low,
        "in.point_cloud_dims_max": prediction.bounds.high,
        "out.sem_cls_logits": outputs.class_logits,
        "out.center_normalized": terms["center"],
        "out.center_unnormalized": prediction.boxes[..., :3],
        "out.size_normalized": terms["size"],
        "out.size_unnormalized": prediction.boxes[..., 3:6],
        "out.angle_logits": outputs.angle_logits,
        "out.angle_residual": outputs.angle_residual * (torch.pi / bins),
        "out.angle_residual_normalized": outputs.angle_residual,
        "out.angle_continuous": boxes_to_three_detr(prediction.boxes)[..., 6],
        "out.objectness_prob": prediction.objectness,
        "out.sem_cls_prob": prediction.class_probability,
        "out.box_corners": official_corners(prediction.boxes),
        "pre_encoder.inds": given["aggregate"].picks,
        "pre_encoder.features_first16": given["aggregate"].features[:, :16],
        "encoder.xyz": watch.encoded.xyz,
        "encoder.features_first16": watch.encoded.features[:, :16],
        "encoder.projected_features_first16": given["project"][:, :16],
        "encoder.pos_embed_first16": given["embed"][:, :16],
        "query.inds": torch.arange(queries).expand(len(clouds), -1),
        "query.xyz": prediction.query_xyz,
        "query.embed_first16": given["place_queries"][:, :16],
        "decoder.features_first16": given["decoder"][:, :, :16],
    }
    if bins > 1:
        found["out.angle_class_margin"] = best[..., 0] - best[..., 1]
    if "interim" in given:
        found["encoder.interim_inds"] = given["interim"].picks
    for number, mask in enumerate(watch.masks):
        found[f"encoder.mask{number}_allowed_per_row"] = mask.sum(-1)
        found[f"encoder.mask{number}_packbits"] = torch.from_numpy(np.packbits(~mask.numpy(), axis=-1))
    return found


@pytest.fixture(scope="module", params=folders())
def released(request: pytest.FixtureRequest, oracle_root: Path) -> tuple[Path, ThreeDetr, dict[str, Any]]:
    folder = oracle_root / "3detr" / request.param
    meta = json.loads((folder / "meta.json").read_text())
    masked = "-m" if meta["effective_args"]["enc_type"] == "masked" else ""
    name = f"3detr{masked}-{meta['effective_args']['dataset_name']}"
    return folder, vol3d.load_released(name, folder / "weights_fp16.safetensors"), meta


def test_number_of_parameters(released: tuple[Path, ThreeDetr, dict[str, Any]]) -> None:
    _, model, meta = released
    assert sum(p.numel() for p in model.parameters()) == meta["num_parameters"]


@pytest.mark.parametrize("run", ["run_a", "run_b"])
def test_every_tensor_is_the_originals(released: tuple[Path, ThreeDetr, dict[str, Any]], run: str) -> None:
    folder, model, _ = released
    stored = load_file(folder / f"{run}.safetensors")
    found = ours(model, list(stored.pop("in.point_clouds")))
    sure = stored.get("out.angle_class_margin", torch.tensor(1.0)) > UNSURE_ANGLE
    assert set(stored) <= set(found), f"not compared: {set(stored) - set(found)}"
    for name, wanted in stored.items():
        got = found[name]
        if name in ("out.angle_continuous", "out.box_corners"):
            where = sure.expand(wanted.shape[:3])
            got, wanted = got[where], wanted[where]
        if name == "out.angle_continuous":  # 180 degrees are -180 degrees
            got = wanted + torch.remainder(got - wanted + torch.pi, 2 * torch.pi) - torch.pi
        if name in TOLERANCE:
            torch.testing.assert_close(
                got, wanted, rtol=0, atol=TOLERANCE[name], msg=lambda text, n=name: f"{n}: {text}"
            )
        else:
            assert torch.equal(got.to(wanted.dtype), wanted), name
