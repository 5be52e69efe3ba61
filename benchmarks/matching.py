"""Batched assignment against SciPy in a loop: `python -m benchmarks.matching [--device cuda]`.

Costs look like a DETR's: minus a class probability plus five times the L1 distance of boxes. SciPy gets each sample as
detectors hand it over, (queries, targets); we get what our matcher builds, (targets, queries), and, for fairness, the
other layout too. On CUDA the costs lie there and the answers must come back there, as in a training step. The figure
beside the JSON shows how cost grows with the boxes.
"""

from __future__ import annotations

import argparse

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from benchmarks.common import Panel, least_ms, one_thread, plot, print_table, save
from vol3d.matching import assign_padded

CASES = ((8, 300, 12), (8, 300, 25), (8, 300, 50), (8, 300, 100), (64, 300, 50), (8, 900, 25), (8, 900, 50),
         (8, 900, 100), (8, 900, 200), (48, 900, 100))  # fmt: skip


def detector_cost(samples: int, queries: int, targets: int) -> Tensor:
    """(samples, queries, targets), float32."""
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(samples, queries, 18, generator=generator).softmax(-1)
    classes = torch.randint(0, 18, (samples, 1, targets), generator=generator).expand(-1, queries, -1)
    boxes = torch.rand(samples, queries, 7, generator=generator)
    truth = torch.rand(samples, targets, 7, generator=generator)
    return 5 * torch.cdist(boxes, truth, p=1) - probability.gather(2, classes)


def by_scipy(cost: Tensor) -> list[tuple[Tensor, Tensor]]:
    """As detectors do it: to the host at once, one sample after the other, each answer back to the device."""
    answers = [linear_sum_assignment(sample) for sample in cost.cpu().numpy()]
    return [(torch.from_numpy(i).to(cost.device), torch.from_numpy(j).to(cost.device)) for i, j in answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    one_thread()
    rows = []
    for samples, queries, targets in CASES:
        cost = detector_cost(samples, queries, targets).to(device)
        by_target = cost.transpose(1, 2).contiguous()
        works = {
            "scipy": lambda c=cost: by_scipy(c),
            "scipy, ours layout": lambda c=by_target: by_scipy(c),
            "ours": lambda c=by_target: assign_padded(c),
            "ours, scipy layout": lambda c=cost: assign_padded(c),
        }
        ms = least_ms(works, 40 if samples < 48 else 5, device)
        query = assign_padded(by_target)
        ours = by_target.double().take_along_dim(query[..., None], dim=2).sum().item()
        theirs = sum(float(c[linear_sum_assignment(c)].sum()) for c in cost.double().cpu().numpy())
        if abs(ours - theirs) > 1e-6 * abs(theirs):
            raise SystemExit(f"totals differ: ours {ours}, scipy {theirs}")
        ratio = {"x scipy": ms["scipy"] / ms["ours"], "x scipy, ours layout": ms["scipy, ours layout"] / ms["ours"]}
        row: dict[str, object] = {"samples": samples, "queries": queries, "boxes": targets}
        rows.append(row | {f"{name} ms": value for name, value in ms.items()} | ratio)
    print_table(rows)
    result = "matching" if device == "cpu" else "matching_cuda"
    print(save(result, rows, device=device))
    panels = {
        f"8 x ({queries} queries x boxes)": Panel.of(
            [row for row in rows if (row["samples"], row["queries"]) == (8, queries)], "boxes", ("ours", "scipy")
        )
        for queries in (300, 900)
    }
    print(plot(result, panels, "CPU time of one thread, ms" if device == "cpu" else "ms"))


if __name__ == "__main__":
    main()
