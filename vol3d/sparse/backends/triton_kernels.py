"""Triton kernels of sparse convolution: masked implicit matrix product, weight gradient in parts, neighbour search.

A program of the product owns a block of output rows and output channels, and adds tap after tap in registers: no
product is written to memory and none is added by atomics, so results are repeatable. Rows are ordered by which taps
they have; a block then skips the taps that none of its rows has.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    features,
    weight,
    neighbours,
    order,
    block_taps,
    out,
    rows,
    c_in,
    c_out,
    taps: tl.constexpr,
    words: tl.constexpr,
    block_rows: tl.constexpr,
    block_in: tl.constexpr,
    block_out: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
):
    """out[order[r]] = sum over taps of features[neighbours[tap, order[r]]] @ weight[tap].

    Args:
        features: [inputs, c_in]; weight: [taps, c_in, c_out]; neighbours: int32 [taps, rows], -1 for none.
        order: int32 [rows], the row that each place holds.
        block_taps: int32 [blocks, words], bit t of word w: some row of the block has tap 32 w + t.
        out: [rows, c_out].
        widen: compute the products in fp32 (the interpreter's bf16 products are wrong).
    """
    block = tl.program_id(0)
    place = block * block_rows + tl.arange(0, block_rows)
    inside = place < rows
    row = tl.load(order + place, mask=inside, other=0)
    column = tl.program_id(1) * block_out + tl.arange(0, block_out)
    total = tl.zeros((block_rows, block_out), tl.float32)
    table, panel = neighbours + row, weight  # moved from tap to tap: pointers do not overflow as products may
    for tap in range(taps):
        word = tl.load(block_taps + block * words + tap // 32)
        if (word >> (tap % 32)) & 1:
            found = tl.load(table, mask=inside, other=-1)
            source = features + found[:, None].to(tl.int64) * c_in
            for start in range(0, c_in, block_in):
                channel = start + tl.arange(0, block_in)
                a = tl.load(
                    source + channel[None, :], mask=(found[:, None] >= 0) & (channel[None, :] < c_in), other=0.0
                )
                at = channel[:, None] * c_out + column[None, :]
                b = tl.load(panel + at, mask=(channel[:, None] < c_in) & (column[None, :] < c_out), other=0.0)
                if widen:
                    a, b = a.to(tl.float32), b.to(tl.float32)
                total = tl.dot(a, b, total, input_precision=precision)
        table += rows
        panel += c_in * c_out
    target = out + row[:, None].to(tl.int64) * c_out + column[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=inside[:, None] & (column[None, :] < c_out))


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
    for start in range(begin, tl.minimum(begin + share, last), block_pairs):
        pair = start + tl.arange(0, block_pairs)
        inside = pair < last
        source = tl.load(inputs + pair, mask=inside, other=0).to(tl.int64)
        target = tl.load(outputs + pair, mask=inside, other=0).to(tl.int64)
        reads = inside[:, None] & (channel[None, :] < c_in)
        a = tl.load(features + source[:, None] * c_in + channel[None, :], mask=reads, other=0.0)
        g = tl.load(
            grad + target[:, None] * c_out + column[None, :],
            mask=inside[:, None] & (column[None, :] < c_out),
            other=0.0,
        )
        if widen:
            a, g = a.to(tl.float32), g.to(tl.float32)
        total = tl.dot(tl.trans(a), g, total, input_precision=precision)
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
