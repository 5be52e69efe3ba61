"""What the counted device counts, case by case, as JSON: run in a process of its own, which has that device.

Each case is run on a tensor [4] of the device and gives `[kernels, waits]`; its result must be that of the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.counted_device import COUNTED, Counts

X = torch.tensor([3.0, 1.0, 2.0, 1.0])
CASES: dict[str, Callable[[Tensor], object]] = {
    "views": lambda x: x.view(2, 2).t()[0][None].expand(3, 2),
    "memory set aside": lambda x: torch.empty_like(x).shape,
    "arithmetic": lambda x: x * 2 + x,
    "in place": lambda x: x.clone().add_(1),
    "made there": lambda x: torch.arange(4, device=x.device) + torch.zeros(4, device=x.device),
    "fill by mask": lambda x: x.masked_fill(x > 1, 0),
    "assignment of one value by mask": lambda x: _set(x, 0.0),
    "place by number": lambda x: x[torch.arange(2, device=x.device)],
    "repeat with its size": lambda x: x.repeat_interleave(x.long(), output_size=7),
    "copy that is not waited for": lambda x: X.to(x.device, non_blocking=True),
    # What waits:
    "item": lambda x: x.sum().item(),
    "int": lambda x: int(x[0]),
    "bool": lambda x: bool((x > 1).all()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.cpu().numpy().tolist(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 1],
    "two masks": lambda x: (x[x > 1], x[x > 2]),
    "assignment of rows by mask": lambda x: _set(x, x[:2]),
    "masked_select": lambda x: x.masked_select(x > 1),
    "unique": lambda x: x.unique(),
    "unique_consecutive": lambda x: x.unique_consecutive(),
    "bincount": lambda x: x.long().bincount(),
    "repeat without its size": lambda x: x.repeat_interleave(x.long()),
    "copy there": lambda x: X.to(x.device),
    "new_tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "tensor": lambda x: torch.tensor([1, 2], device=x.device),
    "copy into": lambda x: torch.zeros(4).copy_(x),
}


def _set(x: Tensor, value: float | Tensor) -> Tensor:
    out = x.clone()
    out[x > 1.5] = value  # two places
    return out


def _plain(value: object) -> object:
    if isinstance(value, Tensor):
        return value.cpu().tolist()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def main() -> None:
    """Prints the counts of every case, and of the backward pass of a small network."""
    found = {}
    with Counts():
        there = X.to(COUNTED)
    for name, case in CASES.items():
        with Counts() as counts:
            out = case(there)
        with Counts():
            assert _plain(out) == _plain(case(X)), f"{name}: {out}"
        found[name] = counts.kernels.total(), counts.waits.total()
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(4, 2), torch.rand(3, 4)
    layer(x).square().sum().backward()
    wanted = layer.weight.grad
    with Counts():
        layer.zero_grad()
        layer.to(COUNTED)
        out = layer(x.to(COUNTED)).square().sum()
    with Counts() as counts:
        out.backward()
    with Counts():
        torch.testing.assert_close(layer.weight.grad.cpu(), wanted)
    found["backward"] = counts.kernels.total(), counts.waits.total()
    with Counts() as counts:
        bool((there > 1).all())
    found["places"] = list(counts.waits)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
