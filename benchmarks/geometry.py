"""Rotated IoU, GIoU, NMS against shapely and the sort scheme: `python -m benchmarks.geometry`.

Every n boxes with n / 5 others; the figure beside the JSON shows how cost grows with n.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import shapely
import torch
from torch import Tensor

from benchmarks.common import Panel, cpu_ms, one_thread, plot, print_table, save
from benchmarks.sort_scheme import overlap_by_sorting
from vol3d.geometry import footprint_corners, giou_3d, iou_3d, iou_bev, nms_rotated


def boxes(count: int, seed: int, spread: float) -> Tensor:
    """Random boxes in a square of `spread` metres, float32."""
    unit = torch.rand(count, 7, generator=torch.Generator().manual_seed(seed))
    return torch.cat((unit[:, :2] * spread, unit[:, 2:3], 0.5 + 4 * unit[:, 3:6], 6.28 * unit[:, 6:]), dim=1)


def by_shapely(first: Tensor, second: Tensor) -> object:
    a, b = (shapely.polygons(footprint_corners(table.double()).numpy()) for table in (first, second))
    common = shapely.area(shapely.intersection(a[:, None], b[None]))
    return common / (shapely.area(a)[:, None] + shapely.area(b)[None] - common)


def with_gradient(iou: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> None:
    first = first.clone().requires_grad_()
    iou(first, second).sum().backward()


def iou_rows() -> list[dict[str, object]]:
    rows = []
    for n, m in ((50, 10), (150, 30), (500, 100), (1500, 300)):
        first, second = boxes(n, 1, 20.0), boxes(m, 2, 20.0)
        works: dict[str, Callable[[], object]] = {
            "shapely": partial(by_shapely, first, second),
            "sort": partial(overlap_by_sorting, first, second),
            "ours": partial(iou_bev, first, second),
        }
        rows.append(_row("IoU from above", n, m, cpu_ms(works, repeats=3 if n > 500 else 25)))
        works = {
            "sort": partial(with_gradient, overlap_by_sorting, first, second),
            "ours": partial(with_gradient, iou_bev, first, second),
        }
        rows.append(_row("IoU and its gradient", n, m, cpu_ms(works, repeats=4)))
        rows.append(_row("IoU in space", n, m, cpu_ms({"ours": partial(iou_3d, first, second)})))
        rows.append(_row("GIoU", n, m, cpu_ms({"ours": partial(giou_3d, first, second)})))
    return rows


def nms_rows() -> list[dict[str, object]]:
    rows = []
    for count in (250, 1000, 4096):
        table, scores = boxes(count, 3, 100.0), torch.rand(count, generator=torch.Generator().manual_seed(0))
        works: dict[str, Callable[[], object]] = {"ours": partial(nms_rotated, table, scores, 0.2)}
        if count < 4096:
            works["shapely"] = partial(nms_by_shapely, table, scores, 0.2)
        rows.append(_row("rotated NMS", count, "-", cpu_ms(works, repeats=3)))
    return rows


def nms_by_shapely(table: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Greedy over the overlapping pairs that a tree finds."""
    order = scores.argsort(descending=True, stable=True)
    shapes = shapely.polygons(footprint_corners(table[order].double()).numpy())
    first, second = shapely.STRtree(shapes).query(shapes)
    first, second = first[first < second], second[first < second]
    common, area = shapely.area(shapely.intersection(shapes[first], shapes[second])), shapely.area(shapes)
    close = common > threshold * (area[first] + area[second] - common)
    rivals: dict[int, list[int]] = {}
    for better, worse in zip(first[close].tolist(), second[close].tolist(), strict=True):
        rivals.setdefault(worse, []).append(better)
    kept: set[int] = set()
    for rank in range(len(shapes)):
        if not any(better in kept for better in rivals.get(rank, ())):
            kept.add(rank)
    return order[sorted(kept)].tolist()


def _row(work: str, boxes: int, others: int | str, ms: dict[str, float]) -> dict[str, object]:
    row: dict[str, object] = {"work": work, "boxes": boxes, "others": others, "ours ms": ms["ours"]}
    for peer in ("shapely", "sort"):
        row[f"{peer} ms"] = ms.get(peer, "-")
        row[f"x {peer}"] = ms[peer] / ms["ours"] if peer in ms else "-"
    return row


def main() -> None:
    one_thread()
    rows = iou_rows() + nms_rows()
    print_table(rows)
    print(save("geometry", rows, peers=("shapely",)))
    works = "IoU from above", "IoU and its gradient", "rotated NMS"
    panels = {w: Panel.of([r for r in rows if r["work"] == w], "boxes", ("ours", "shapely", "sort")) for w in works}
    print(plot("geometry", panels, "CPU time of one thread, ms"))


if __name__ == "__main__":
    main()
