"""Vector micro-kernels for numba, written as LLVM vector instructions: no C compiler, on any CPU that LLVM supports.

Both keep a block of results in registers while they walk along the sum, and read their rows through lists of row
numbers, so that nothing is gathered or scattered in memory:

    gather_multiply   out[to[r]] += in[from[r]] @ w       r = 0 .. rows-1
    gather_outer      dw[r] += sum_p a[from[p]][r] * g[to[p]]

A call sums from zero and adds its sum to the result at the end, which keeps rounding errors small over many calls.
Every element of a sum is one chain of multiply-adds, whatever the block's size: results do not depend on how rows and
columns are cut into blocks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


class Tile(NamedTuple):
    """Block sizes for a CPU: floats per vector; for 1 to 4 vectors the rows of a block, large, middle and 1."""

    lanes: int
    rows: tuple[tuple[int, int], ...]


def _tile() -> Tile:
    """Accumulators, one row of weights and one broadcast value fill the vector registers."""
    settings = vars(config)  # numba's, from the environment: what it generates code for need not be this CPU
    features = settings["CPU_FEATURES"]
    if features is None and settings["CPU_NAME"] is None:
        features = binding.get_host_cpu_features().flatten()
    features = features or ""
    if "+avx512f" in features:
        return Tile(16, ((12, 4), (12, 4), (8, 4), (6, 2)))  # 32 registers
    if "+avx2" in features or settings["CPU_NAME"] not in (None, "generic"):
        return Tile(8, ((8, 4), (6, 2), (4, 2), (2, 1)))  # 16 registers
    if platform.machine().lower() in ("aarch64", "arm64"):
        return Tile(4, ((12, 4), (12, 4), (8, 4), (6, 2)))  # 32 registers
    return Tile(4, ((8, 4), (6, 2), (4, 2), (2, 1)))  # 16 registers


class _Block:
    """Writes the body of one micro-kernel: addresses, vector loads and stores, and the loop along the sum."""

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(FLOAT, lanes)

    def row(self, base: ir.Value, numbers: ir.Value, at: ir.Value, row_bytes: ir.Value) -> ir.Value:
        """Address (i64) of the row whose number stands at `numbers[at]`."""
        b = self.builder
        number = b.load(b.gep(b.inttoptr(numbers, INT32.as_pointer()), [at]))
        return b.add(base, b.mul(b.sext(number, INT64), row_bytes))

    def pointer(self, address: ir.Value, lane: int = 0) -> ir.Value:
        moved = self.builder.add(address, ir.Constant(INT64, 4 * lane)) if lane else address
        return self.builder.inttoptr(moved, self.vector.as_pointer())

    def load(self, address: ir.Value, vectors: int) -> list[ir.Value]:
        loads = [self.builder.load(self.pointer(address, v * self.lanes)) for v in range(vectors)]
        for load in loads:
            load.align = 4
        return loads

    def add_to(self, address: ir.Value, values: list[ir.Value]) -> None:
        for v, (old, value) in enumerate(zip(self.load(address, len(values)), values, strict=True)):
            self.builder.store(self.builder.fadd(old, value), self.pointer(address, v * self.lanes)).align = 4

    def spread(self, address: ir.Value) -> ir.Value:
        """The float at an address in every lane."""
        b, nothing = self.builder, ir.Constant(self.vector, ir.Undefined)
        value = b.load(b.inttoptr(address, FLOAT.as_pointer()))
        one = b.insert_element(nothing, value, INT32(0))
        return b.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes))

    def multiply_add(self, a: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
        """Fused where the CPU can, a product and a sum where it cannot."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f32"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, x, total])

    def accumulate(
        self,
        rows: int,
        vectors: int,
        count: ir.Value,
        step: Callable[[ir.Value], tuple[list[ir.Value], list[ir.Value]]],
    ) -> list[list[ir.Value]]:
        """[r][v]: the sum over i < count, at least 1, of `scalar[r] * vector[v]` with `scalar, vector = step(i)`."""
        b = self.builder
        before, function = b.block, b.function
        loop, done = function.append_basic_block("sum"), function.append_basic_block("summed")
        b.branch(loop)
        b.position_at_end(loop)
        i = b.phi(INT64)
        i.add_incoming(INT64(0), before)
        totals = [[b.phi(self.vector) for _ in range(vectors)] for _ in range(rows)]
        scalars, wide = step(i)
        sums = [
            [self.multiply_add(scalar, x, total) for x, total in zip(wide, row, strict=True)]
            for scalar, row in zip(scalars, totals, strict=True)
        ]
        following = b.add(i, INT64(1))
        i.add_incoming(following, loop)
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        for row, last in zip(totals, sums, strict=True):
            for total, value in zip(row, last, strict=True):
                total.add_incoming(zero, before)
                total.add_incoming(value, loop)
        b.cbranch(b.icmp_signed("<", following, count), loop, done)
        b.position_at_end(done)
        return sums


def gather_multiply(rows: int, vectors: int, lanes: int) -> Any:
    """Intrinsic (in, from, in_bytes, w, w_bytes, out, to, out_bytes, depth): see the module's text.

    All are integers: addresses of the first float of `in` (columns of this block of the sum), `w` and `out` (columns of
    this block of channels), addresses of `rows` int32 row numbers `from` and `to`, bytes from row to row, and the
    length of the sum, at least 1.
    """

    @intrinsic
    def multiply(typing, a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth = arguments
            block = _Block(builder, lanes)
            reads = [block.row(a, numbers, INT64(r), a_bytes) for r in range(rows)]
            writes = [block.row(out, to, INT64(r), out_bytes) for r in range(rows)]

            def step(i: ir.Value) -> tuple[list[ir.Value], list[ir.Value]]:
                weights = block.load(builder.add(w, builder.mul(i, w_bytes)), vectors)
                along = builder.mul(i, INT64(4))
                return [block.spread(builder.add(read, along)) for read in reads], weights

            for values, write in zip(block.accumulate(rows, vectors, depth, step), writes, strict=True):
                block.add_to(write, values)
            return context.get_dummy_value()

        return types.void(*([types.intp] * 9)), generate

    return multiply


def gather_outer(rows: int, vectors: int, lanes: int) -> Any:
    """Intrinsic (a, from, a_bytes, g, to, g_bytes, pairs, dw, dw_bytes): see the module's text.

    All are integers: addresses of the first float of `a` (at this block's first channel), `g` and `dw` (at this
    block's), addresses of `pairs` int32 row numbers `from` and `to`, bytes from row to row, and the number of pairs,
    at least 1.
    """

    @intrinsic
    def outer(typing, a, numbers, a_bytes, g, to, g_bytes, pairs, dw, dw_bytes):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            a, numbers, a_bytes, g, to, g_bytes, pairs, dw, dw_bytes = arguments
            block = _Block(builder, lanes)
            writes = [builder.add(dw, builder.mul(dw_bytes, INT64(r))) for r in range(rows)]

            def step(p: ir.Value) -> tuple[list[ir.Value], list[ir.Value]]:
                gradients = block.load(block.row(g, to, p, g_bytes), vectors)
                read = block.row(a, numbers, p, a_bytes)
                return [block.spread(builder.add(read, INT64(4 * r))) for r in range(rows)], gradients

            for values, write in zip(block.accumulate(rows, vectors, pairs, step), writes, strict=True):
                block.add_to(write, values)
            return context.get_dummy_value()

        return types.void(*([types.intp] * 9)), generate

    return outer


def compress(lanes: int) -> Any:
    """Intrinsic (count, numbers, first, kept, places) that keeps the numbers that are not negative; returns how many.

    All are integers: addresses of `count` int32 numbers and of two int32 lists with `lanes` elements to spare, which
    take the numbers kept and their places counted from `first`.
    """

    @intrinsic
    def keep(typing, count, numbers, first, kept, places):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            count, *lists = arguments
            wide = 16 if lanes == 16 else 1  # AVX-512 packs sixteen at once
            total = cgutils.alloca_once_value(builder, INT64(0))
            whole = builder.and_(count, INT64(-wide))
            with cgutils.for_range_slice(builder, INT64(0), whole, INT64(wide)) as (i, _):
                _keep(builder, wide, i, lists, total)
            with cgutils.for_range_slice(builder, whole, count, INT64(1)) as (i, _):
                _keep(builder, 1, i, lists, total)
            return builder.load(total)

        return types.intp(*([types.intp] * 5)), generate

    return keep


def _keep(b: ir.IRBuilder, wide: int, i: ir.Value, lists: list[ir.Value], total: ir.Value) -> None:
    """Writes `wide` numbers and places packed to the front, all of them, and counts the ones to keep: no branches."""
    numbers, first, kept, places = lists
    kind = ir.VectorType(INT32, wide) if wide > 1 else INT32
    at, n = b.mul(i, INT64(4)), b.load(total)
    values = b.load(b.inttoptr(b.add(numbers, at), kind.as_pointer()))
    values.align = 4
    place = b.trunc(b.add(first, i), INT32)
    if wide == 1:
        packed = [values, place]
        more = b.zext(b.icmp_signed(">=", values, INT32(0)), INT64)
    else:
        nothing = ir.Constant(kind, ir.Undefined)
        spread = b.shuffle_vector(b.insert_element(nothing, place, INT32(0)), nothing, ir.Constant(kind, [0] * wide))
        listed = [values, b.add(spread, ir.Constant(kind, list(range(wide))))]
        mask = b.icmp_signed(">=", values, ir.Constant(kind, [0] * wide))
        name, flags = f"llvm.x86.avx512.mask.compress.v{wide}i32", ir.VectorType(ir.IntType(1), wide)
        function = cgutils.get_or_insert_function(b.module, ir.FunctionType(kind, [kind, kind, flags]), name)
        packed = [b.call(function, [value, nothing, mask]) for value in listed]
        more = b.zext(b.ctpop(b.bitcast(mask, ir.IntType(wide))), INT64)
    for target, value in zip((kept, places), packed, strict=True):
        b.store(value, b.inttoptr(b.add(target, b.mul(n, INT64(4))), kind.as_pointer())).align = 4
    b.store(b.add(n, more), total)


TILE = _tile()
