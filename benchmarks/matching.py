"""Batched assignment against SciPy in a loop: `python -m benchmarks.matching`.

Costs look like a DETR's: minus a class probability plus five times the L1 distance of boxes. SciPy gets each sample as
detectors hand it over, (queries, targets); we get what our matcher builds, (targets, queries), and, for fairness, the
other layout too.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from benchmarks.common import cpu_ms, one_thread, print_table, save
from vol3d.matching import assign_padded

CASES = ((8, 300, 50), (64, 300, 50), (8, 900, 100), (48, 900, 100))


def detector_cost(samples: int, queries: int, targets: int) -> Tensor:
    """(samples, queries, targets), float32."""
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(samples, queries, 18, generator=generator).softmax(-1)
    classes = torch.randint(0, 18, (samples, 1, targets), generator=generator).expand(-1, queries, -1)
    boxes = torch.rand(samples, queries, 7, generator=generator)
    truth = torch.rand(samples, targets, 7, generator=generator)
    return 5 * torch.cdist(boxes, truth, p=1) - probability.gather(2, classes)


def main() -> None:
    one_thread()
    rows = []
    for samples, queries, targets in CASES:
        cost = detector_cost(samples, queries, targets)
        by_target = cost.transpose(1, 2).contiguous()
        works = {
            "scipy": lambda c=cost: [linear_sum_assignment(sample) for sample in c.numpy()],
            "scipy, ours layout": lambda c=by_target: [linear_sum_assignment(sample) for sample in c.numpy()],
            "ours": lambda c=by_target: assign_padded(c),
            "ours, scipy layout": lambda c=cost: assign_padded(c),
        }
        ms = cpu_ms(works, repeats=40 if samples < 48 else 5)
        query = assign_padded(by_target)
        ours = by_target.double().take_along_dim(query[..., None], dim=2).sum().item()
        theirs = sum(float(c[linear_sum_assignment(c)].sum()) for c in cost.double().numpy())
        if abs(ours - theirs) > 1e-6 * abs(theirs):
            raise SystemExit(f"totals differ: ours {ours}, scipy {theirs}")
        ratio = {"x scipy": ms["scipy"] / ms["ours"], "x scipy, ours layout": ms["scipy, ours layout"] / ms["ours"]}
        row: dict[str, object] = {"work": f"{samples} x ({queries} x {targets})"}
        rows.append(row | {f"{name} ms": value for name, value in ms.items()} | ratio)
    print_table(rows)
    print(save("matching", rows))


if __name__ == "__main__":
    main()
