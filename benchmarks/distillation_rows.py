"""The rows of Object DGCNN's tables 1 to 4, each as words for `vol3d train` or `vol3d distill`, in two sizes.

Table 1 has CenterPoint and Object DGCNN, on pillars and voxels, with and without suppression. Which row of the others
stands in which table is our arrangement, not yet the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Recipe = Literal["centerpoint_pillars", "centerpoint_voxels", "pillars", "voxels"]


@dataclass(frozen=True)
class Size:
    """How large the rows are.

    Args:
        recipes: shipped recipe of each kind.
        center_pillars: settings that make CenterPoint's pillars those of Object DGCNN.
        sweeps: of a dense cloud.
        sparse: settings of a student that sees little.
    """

    recipes: dict[Recipe, str]
    center_pillars: tuple[str, ...]
    sweeps: int
    sparse: tuple[str, ...]


SMALL = Size(
    {
        "centerpoint_pillars": "centerpoint_pillars_drives_small",
        "centerpoint_voxels": "centerpoint_voxels_drives_small",
        "pillars": "object_dgcnn_pillars_drives_small",
        "voxels": "object_dgcnn_voxels_drives_small",
    },
    center_pillars=(),
    sweeps=3,
    sparse=("data.sweeps=1", "data.every_beam=2"),
)
FULL = Size(
    {
        "centerpoint_pillars": "centerpoint_pillar_nuscenes",
        "centerpoint_voxels": "centerpoint_voxel01_nuscenes",
        "pillars": "object_dgcnn_pillar",
        "voxels": "object_dgcnn_voxel",
    },
    center_pillars=("model.pillars={widths: [64]}",),
    sweeps=10,
    sparse=("data.sweeps=1", "data.every_beam=2"),
)


@dataclass(frozen=True)
class Row:
    """One line of a table: a training, or another look at the weights of one.

    Args:
        title: what the line says.
        recipe: of the network that is scored.
        start: the row whose encoder and backbone it begins with.
        teacher: the row that teaches it, by `method`.
        sparse: it sees one sweep and every second beam; its teacher sees all.
        again: the row whose weights are scored once more, with `changes`.
        changes: settings.
        paper: mAP and NDS in percent, where known: of the released code, and of CenterPoint's model zoo.
    """

    title: str
    recipe: Recipe
    start: str | None = None
    teacher: str | None = None
    method: Literal["set", "features", "pseudo_labels"] | None = None
    sparse: bool = False
    again: str | None = None
    changes: tuple[str, ...] = ()
    paper: tuple[float, float] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Rows that must be there first."""
        return tuple(name for name in (self.start, self.teacher, self.again) if name is not None)


NONE_CENTER, NMS_QUERIES = ("model.head.decode.nms=none",), ("model.head.nms_iou=0.2",)
LABELS = ("distill.pseudo_labels={least_score: 0.2, most: 60}",)
P, V = "centerpoint_pillars", "centerpoint_voxels"
ROWS: dict[str, Row] = {
    P: Row("CenterPoint, pillars, NMS", "centerpoint_pillars", paper=(50.3, 60.2)),
    V: Row("CenterPoint, voxels, NMS", "centerpoint_voxels", paper=(56.4, 64.8)),
    "pillars": Row("Object DGCNN, pillars", "pillars", P, paper=(53.2, 62.8)),
    "voxels": Row("Object DGCNN, voxels", "voxels", V, paper=(58.6, 66.0)),
    f"{P}_no_nms": Row("CenterPoint, pillars", "centerpoint_pillars", again=P, changes=NONE_CENTER),
    f"{V}_no_nms": Row("CenterPoint, voxels", "centerpoint_voxels", again=V, changes=NONE_CENTER),
    "pillars_nms": Row("Object DGCNN, pillars, NMS", "pillars", again="pillars", changes=NMS_QUERIES),
    "voxels_nms": Row("Object DGCNN, voxels, NMS", "voxels", again="voxels", changes=NMS_QUERIES),
    "voxels_to_pillars": Row("voxels teach pillars, sets", "pillars", P, "voxels", "set"),
    "voxels_to_pillars_features": Row("voxels teach pillars, features", "pillars", P, "voxels", "features"),
    "voxels_to_pillars_labels": Row(
        "voxels teach pillars, pseudo labels", "pillars", P, "voxels", "pseudo_labels", changes=LABELS
    ),
    "sparse": Row("one sweep, half the beams; alone", "pillars", P, sparse=True),
    "dense_to_sparse": Row("taught by dense pillars, sets", "pillars", P, "pillars", "set", sparse=True),
    "dense_to_sparse_features": Row("by dense pillars, features", "pillars", P, "pillars", "features", sparse=True),
    "dense_to_sparse_labels": Row(
        "by dense pillars, pseudo labels", "pillars", P, "pillars", "pseudo_labels", sparse=True, changes=LABELS
    ),
    "pillars_to_pillars": Row("pillars teach pillars, sets", "pillars", P, "pillars", "set"),
    "voxels_to_voxels": Row("voxels teach voxels, sets", "voxels", V, "voxels", "set"),
}
"""In the order in which they are made, the most telling first."""

TABLES: dict[str, tuple[str, ...]] = {
    "1. Detectors, with and without suppression": (
        *(P, f"{P}_no_nms", V, f"{V}_no_nms"),
        *("pillars", "pillars_nms", "voxels", "voxels_nms"),
    ),
    "2. Set-to-set distillation": ("pillars", "voxels_to_pillars", "pillars_to_pillars", "voxels", "voxels_to_voxels"),
    "3. Set-to-set and its rivals": (
        *("pillars", "voxels_to_pillars", "voxels_to_pillars_features", "voxels_to_pillars_labels"),
    ),
    "4. Privileged information": (
        *("pillars", "sparse", "dense_to_sparse", "dense_to_sparse_features", "dense_to_sparse_labels"),
    ),
}

COMPARED: tuple[tuple[str, str], ...] = (
    *((P, f"{P}_no_nms"), (V, f"{V}_no_nms"), ("pillars_nms", "pillars"), ("voxels_nms", "voxels")),
    *((name, "pillars") for name in ("voxels_to_pillars", "pillars_to_pillars")),
    ("voxels_to_voxels", "voxels"),
    *(("voxels_to_pillars", f"voxels_to_pillars_{rival}") for rival in ("features", "labels")),
    ("dense_to_sparse", "sparse"),
    *(("dense_to_sparse", f"dense_to_sparse_{rival}") for rival in ("features", "labels")),
)
"""Pairs of rows whose difference is printed, seed by seed."""


def run_folder(out: Path, name: str, seed: int) -> Path:
    """Where a row's run lies."""
    return out / name / f"seed{seed}"


def words_of(name: str, seed: int, size: Size, out: Path, further: Sequence[str] = ()) -> list[str]:
    """The settings of a row's training, for the recipe `size.recipes[row.recipe]`."""
    row = ROWS[name]
    words = [*further, f"train.seed={seed}"]
    words += size.center_pillars if row.recipe == P else ()
    words += size.sparse if row.sparse else ()
    if row.start:
        words.append(f"start_from.checkpoint={run_folder(out, row.start, seed)}")
    if row.teacher:
        words += [f"distill.teacher={run_folder(out, row.teacher, seed)}", f"distill.method={row.method}"]
        words += [f"distill.teacher_sees={{sweeps: {size.sweeps}, every_beam: 1}}"] if row.sparse else []
    return [*words, *row.changes]
