"""The rows of Object DGCNN's tables 1 to 4, each as words for `vol3d train` or `vol3d distill`, in two sizes.

Table 1 has CenterPoint and Object DGCNN, on pillars and voxels, with and without suppression; table 2 three ways to
teach pillars with voxels; table 3 self-distillation; table 4 a teacher that sees more. Two further tables are ours:
what the paper leaves open of its equations 11 and 12, and other methods for a student that sees little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        cached: teachers answer once for each scene (`distill.cache`), where the recipes only move whole scenes.
    """

    recipes: dict[Recipe, str]
    center_pillars: tuple[str, ...]
    sweeps: int
    sparse: tuple[str, ...]
    cached: bool = False


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
    cached=True,
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
        sparse: it sees one sweep and every second beam; a teacher that is not sparse sees all.
        again: the row whose weights are scored once more, with `changes`.
        changes: settings.
        paper: mAP and NDS in percent on nuScenes, where the paper has the row.
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
TAUGHT = "voxels_to_pillars"


def _taught(title: str, method: Literal["set", "features", "pseudo_labels"], paper: tuple[float, float]) -> Row:
    return Row(f"voxels teach pillars, {title}", "pillars", P, "voxels", method, paper=paper)


def _open(title: str, *changes: str) -> Row:
    return Row(f"voxels teach pillars, {title}", "pillars", P, "voxels", "set", changes=changes)


ROWS: dict[str, Row] = {
    P: Row("CenterPoint, pillars, NMS", P, paper=(47.48, 59.56)),
    V: Row("CenterPoint, voxels, NMS", V, paper=(54.99, 64.19)),
    "pillars": Row("Object DGCNN, pillars", "pillars", P, paper=(53.20, 62.80)),
    "voxels": Row("Object DGCNN, voxels", "voxels", V, paper=(58.62, 66.04)),
    f"{P}_no_nms": Row("CenterPoint, pillars", P, again=P, changes=NONE_CENTER, paper=(40.27, 55.08)),
    f"{V}_no_nms": Row("CenterPoint, voxels", V, again=V, changes=NONE_CENTER, paper=(45.32, 57.00)),
    "pillars_nms": Row(
        "Object DGCNN, pillars, NMS", "pillars", again="pillars", changes=NMS_QUERIES, paper=(53.31, 62.97)
    ),
    "voxels_nms": Row("Object DGCNN, voxels, NMS", "voxels", again="voxels", changes=NMS_QUERIES, paper=(58.73, 66.10)),
    TAUGHT: _taught("sets", "set", (53.89, 63.37)),
    f"{TAUGHT}_features": _taught("features", "features", (53.29, 62.84)),
    f"{TAUGHT}_labels": replace(_taught("pseudo labels", "pseudo_labels", (53.31, 63.18)), changes=LABELS),
    "pillars_to_pillars": Row("pillars teach pillars, sets", "pillars", P, "pillars", "set", paper=(53.89, 63.41)),
    "voxels_to_voxels": Row("voxels teach voxels, sets", "voxels", V, "voxels", "set", paper=(59.25, 66.45)),
    "sparse": Row("pillars, one sweep, half the beams; alone", "pillars", P, sparse=True),
    "sparse_to_sparse": Row(
        "pillars, taught by sparse pillars, sets", "pillars", P, "sparse", "set", sparse=True, paper=(38.89, 42.12)
    ),
    "dense_to_sparse": Row(
        "pillars, taught by dense pillars, sets", "pillars", P, "pillars", "set", sparse=True, paper=(39.10, 42.79)
    ),
    "sparse_voxels": Row("voxels, one sweep, half the beams; alone", "voxels", V, sparse=True),
    "sparse_to_sparse_voxels": Row(
        "voxels, taught by sparse voxels, sets", "voxels", V, "sparse_voxels", "set", sparse=True, paper=(49.84, 59.55)
    ),
    "dense_to_sparse_voxels": Row(
        "voxels, taught by dense voxels, sets", "voxels", V, "voxels", "set", sparse=True, paper=(50.12, 59.89)
    ),
    f"{TAUGHT}_class_only": _open("sets; boxes of objects only", "distill.background=class_only"),
    f"{TAUGHT}_left_out": _open("sets; objects only", "distill.background=left_out"),
    f"{TAUGHT}_all_objects": _open("sets; all predictions are objects", "distill.object_score=0"),
    f"{TAUGHT}_pairs": _open("sets; mean over the pairs", "distill.divide_by=pairs"),
    f"{TAUGHT}_weights": _open("sets; both terms with weight 1", "distill.classes=1", "distill.box=1"),
    f"{TAUGHT}_divergence": _open("sets; distributions of the classes", "distill.class_term=divergence"),
    "dense_to_sparse_features": Row("by dense pillars, features", "pillars", P, "pillars", "features", sparse=True),
    "dense_to_sparse_labels": Row(
        "by dense pillars, pseudo labels", "pillars", P, "pillars", "pseudo_labels", sparse=True, changes=LABELS
    ),
}
"""In the order in which they are made, those of the paper first."""

OPEN = tuple(f"{TAUGHT}_{name}" for name in ("class_only", "left_out", "all_objects", "pairs", "weights", "divergence"))
TABLES: dict[str, tuple[str, ...]] = {
    "1. Detectors, with and without suppression": (
        *(P, f"{P}_no_nms", V, f"{V}_no_nms"),
        *("pillars_nms", "pillars", "voxels_nms", "voxels"),
    ),
    "2. Ways to distil": ("pillars", f"{TAUGHT}_features", f"{TAUGHT}_labels", TAUGHT),
    "3. Self-distillation": ("pillars", "pillars_to_pillars", "voxels", "voxels_to_voxels"),
    "4. Privileged information": (
        *("sparse", "sparse_to_sparse", "dense_to_sparse"),
        *("sparse_voxels", "sparse_to_sparse_voxels", "dense_to_sparse_voxels"),
    ),
    "What the paper leaves open": (TAUGHT, *OPEN),
    "Other methods for a student that sees little": (
        *("sparse", "dense_to_sparse", "dense_to_sparse_features", "dense_to_sparse_labels"),
    ),
}

COMPARED: tuple[tuple[str, str], ...] = (
    *((P, f"{P}_no_nms"), (V, f"{V}_no_nms"), ("pillars_nms", "pillars"), ("voxels_nms", "voxels")),
    *((name, "pillars") for name in (f"{TAUGHT}_features", f"{TAUGHT}_labels", TAUGHT, "pillars_to_pillars")),
    ("voxels_to_voxels", "voxels"),
    *((TAUGHT, f"{TAUGHT}_{rival}") for rival in ("features", "labels")),
    *((name, "sparse") for name in ("sparse_to_sparse", "dense_to_sparse")),
    *((name, "sparse_voxels") for name in ("sparse_to_sparse_voxels", "dense_to_sparse_voxels")),
    *(("dense_to_sparse", "sparse_to_sparse"), ("dense_to_sparse_voxels", "sparse_to_sparse_voxels")),
    *((name, TAUGHT) for name in OPEN),
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
        sees_more = row.sparse and not ROWS[row.teacher].sparse
        words += [f"distill.teacher_sees={{sweeps: {size.sweeps}, every_beam: 1}}"] if sees_more else []
        words += [f"distill.cache={out / 'cache'}"] if size.cached and row.method != "features" else []
    return [*words, *row.changes]
