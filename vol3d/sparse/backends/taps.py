"""What the Triton kernels read of a kernel map, made in plain torch; the host never waits for the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vol3d.host import constant
from vol3d.sparse.kernel_map import KernelMap


class TapBlocks(NamedTuple):
    """Output rows in blocks, and what each block reads.

    order: int64 [rows], rows sorted by which taps they have.
    taps: int64 [blocks, taps], first those that some row of the block has; counts: int32 [blocks], how many these are.
    inputs: int32 [blocks, taps, rows of a block], the input row that each reads through each of them, or -1.
    """

    order: Tensor
    taps: Tensor
    counts: Tensor
    inputs: Tensor


class TapPairs(NamedTuple):
    """inputs, outputs: int32 [pairs], by tap; bounds: int32 [taps + 1]."""

    inputs: Tensor
    outputs: Tensor
    bounds: Tensor


def tap_blocks(kernel_map: KernelMap, block_rows: int) -> TapBlocks:
    """Rows ordered by which taps they have, and what each block of them reads."""
    table = kernel_map.neighbours
    taps, rows = table.shape
    # The first 62 taps decide the order; more would not fit a key, and the order is only a matter of speed.
    has = table[:62] >= 0
    key = (has * constant(tuple(1 << tap for tap in range(len(has))), table, torch.int64)[:, None]).sum(0)
    order = torch.argsort(key, stable=True)
    blocks = -(-rows // block_rows)
    inputs = torch.nn.functional.pad(table[:, order], (0, blocks * block_rows - rows), value=-1)
    inputs = inputs.view(taps, blocks, block_rows).transpose(0, 1)
    any_row = (inputs >= 0).any(2)
    slots = torch.argsort(any_row.to(torch.uint8), dim=1, descending=True, stable=True)
    inputs = inputs.gather(1, slots[..., None].expand_as(inputs))
    return TapBlocks(order, slots, any_row.sum(1, dtype=torch.int32), inputs)


def tap_pairs(kernel_map: KernelMap) -> TapPairs:
    """Pairs of rows by tap, in ascending output order. Missing pairs are sorted last."""
    table = kernel_map.neighbours
    has = table >= 0
    counts = has.sum(1)
    bounds = torch.nn.functional.pad(counts.cumsum(0), (1, 0)).to(torch.int32)
    # The place of a pair is the number of pairs before it; those that are missing go to one place behind the last.
    place = torch.where(has, has.flatten().cumsum(0).view_as(has) - 1, table.numel())
    rows = torch.arange(table.shape[1], dtype=torch.int32, device=table.device).expand_as(table)
    inputs, outputs = (table.new_zeros(table.numel() + 1) for _ in range(2))
    inputs.scatter_(0, place.flatten(), table.flatten())
    outputs.scatter_(0, place.flatten(), rows.flatten())
    return TapPairs(inputs, outputs, bounds)
