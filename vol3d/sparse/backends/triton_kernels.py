"""Triton kernels of sparse convolution: masked implicit matrix product, weight gradient in parts, neighbour search.

A program of the product owns a block of output rows and output channels, and adds tap after tap in registers: no
product is written to memory and none is added by atomics, so results are repeatable. Rows are ordered by which taps
they have; a block then reads a short list of taps instead of all of them.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    features,
    weight,
    order,
    block_taps,
    counts,
    inputs,
    out,
    rows,
    c_in,
    c_out,
    taps,
    chunks: tl.constexpr,
    block_rows: tl.constexpr,
    block_in: tl.constexpr,
    block_out: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
):
    """out[part, order[r]] = sum over that part of a block's taps of features[input] @ weight[tap].

    Args:
        features: [rows of inputs, c_in]; weight: [taps, c_in, c_out].
        order: int64 [rows], the row that each place of the blocks holds.
        block_taps, counts, inputs: the taps of a block and what its rows read, see `taps.TapBlocks`.
        out: [parts, rows, c_out]; parts are the programs along the grid's third axis.
        chunks: blocks of input channels.
        widen: compute the products in fp32 (the interpreter's bf16 products are wrong).
    """
    block, part = tl.program_id(0), tl.program_id(2)
    line, column = tl.arange(0, block_rows), tl.program_id(1) * block_out + tl.arange(0, block_out)
    block_taps += block * taps
    inputs += block.to(tl.int64) * taps * block_rows + line
    # One flat loop over taps and channel blocks: whatever their numbers, the loads of later steps overlap a product.
    steps = tl.load(counts + block) * chunks
    share = tl.cdiv(steps, tl.num_programs(2))
    first = part * share
    slot = tl.minimum(first // chunks, taps - 1)
    tap, found = tl.load(block_taps + slot), tl.load(inputs + slot * block_rows)
    total = tl.zeros((block_rows, block_out), tl.float32)
    for step in range(first, tl.minimum(first + share, steps)):
        # What the next step reads must be known before its loads can begin: it is looked up one step ahead.
        slot = tl.minimum((step + 1) // chunks, taps - 1)
        next_tap, next_found = tl.load(block_taps + slot), tl.load(inputs + slot * block_rows)
        channel = step % chunks * block_in + tl.arange(0, block_in)
        source = features + found[:, None].to(tl.int64) * c_in + channel[None, :]
        a = tl.load(source, mask=(found[:, None] >= 0) & (channel[None, :] < c_in), other=0.0)
        panel = weight + tap.to(tl.int64) * c_in * c_out + channel[:, None] * c_out + column[None, :]
        b = tl.load(panel, mask=(channel[:, None] < c_in) & (column[None, :] < c_out), other=0.0)
        if widen:
            a, b = a.to(tl.float32), b.to(tl.float32)
        total = tl.dot(a, b, total, input_precision=precision)
        tap, found = next_tap, next_found
    place = block * block_rows + line
    row = tl.load(order + place, mask=place < rows, other=0).to(tl.int64)
    target = out + (part.to(tl.int64) * rows + row[:, None]) * c_out + column[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=(place < rows)[:, None] & (column[None, :] < c_out))


@triton.jit
def weight_gradient_kernel(
    features,
    grad,
    inputs,
    outputs,
    bounds,
    partial,
    c_in,
    c_out,
    taps,
    parts,
    block_pairs: tl.constexpr,
    block_in: tl.constexpr,
    block_out: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
):
    """partial[part, tap] = sum over that part of the tap's pairs of features[input] x grad[output].

    Args:
        features: [inputs, c_in]; grad: [outputs, c_out].
        inputs, outputs: int32 [pairs], rows that each tap joins; bounds: int32 [taps + 1], where a tap's pairs begin.
        partial: fp32 [parts, taps, c_in, c_out].
    """
    tap, part = tl.program_id(0) // parts, tl.program_id(0) % parts
    first, last = tl.load(bounds + tap), tl.load(bounds + tap + 1)
    share = tl.cdiv(tl.cdiv(last - first, parts), block_pairs) * block_pairs
    channel = tl.program_id(1) * block_in + tl.arange(0, block_in)
    column = tl.program_id(2) * block_out + tl.arange(0, block_out)
    total = tl.zeros((block_in, block_out), tl.float32)
    begin = first + part * share
    pair = begin + tl.arange(0, block_pairs)
    source, target = tl.load(inputs + pair, pair < last, other=-1), tl.load(outputs + pair, pair < last, other=-1)
    for _ in range(begin, tl.minimum(begin + share, last), block_pairs):
        # As above, the rows of the next step are looked up one step ahead.
        pair += block_pairs
        next_source = tl.load(inputs + pair, pair < last, other=-1)
        next_target = tl.load(outputs + pair, pair < last, other=-1)
        inside = (source >= 0)[:, None]
        from_input = features + source.to(tl.int64)[:, None] * c_in + channel[None, :]
        a = tl.load(from_input, mask=inside & (channel[None, :] < c_in), other=0.0)
        from_output = grad + target.to(tl.int64)[:, None] * c_out + column[None, :]
        g = tl.load(from_output, mask=inside & (column[None, :] < c_out), other=0.0)
        if widen:
            a, g = a.to(tl.float32), g.to(tl.float32)
        total = tl.dot(tl.trans(a), g, total, input_precision=precision)
        source, target = next_source, next_target
    at = ((part * taps + tap).to(tl.int64) * c_in + channel[:, None]) * c_out + column[None, :]
    tl.store(partial + at, total, mask=(channel[:, None] < c_in) & (column[None, :] < c_out))


@triton.jit
def search_kernel(first, keys, table, rows, size, ky, kx, dz, dy, dx, steps, block_rows: tl.constexpr):
    """table[tap, r] = the place of first[r] + tap's offset in ascending keys [size], or -1: binary search.

    Args:
        first: int64 [rows]; keys: int64 [size]; table: int32 [taps, rows].
        ky, kx: taps along y and x; dz, dy, dx: key difference between taps; steps: halvings that reach one key.
    """
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    inside = row < rows
    tap = tl.program_id(1)
    shift = (tap // (ky * kx)).to(tl.int64) * dz + (tap // kx % ky).to(tl.int64) * dy + (tap % kx).to(tl.int64) * dx
    wanted = tl.load(first + row, mask=inside, other=0) + shift
    low = tl.zeros((block_rows,), tl.int32)
    high = tl.zeros((block_rows,), tl.int32) + size
    for _ in range(steps):
        middle = (low + high) // 2
        below = tl.load(keys + middle, mask=middle < size, other=0) < wanted
        active = low < high
        low = tl.where(active & below, middle + 1, low)
        high = tl.where(active & (below == 0), middle, high)
    found = tl.load(keys + low, mask=inside & (low < size), other=-1) == wanted
    found = found & (low < size)
    tl.store(table + tap.to(tl.int64) * rows + row, tl.where(found, low, -1), mask=inside)
