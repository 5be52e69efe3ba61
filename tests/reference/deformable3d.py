"""Weighted sums of trilinear samples, one sample at a time."""

import itertools

import torch


def sample_maps(values, sizes, places, weights):
    batch, queries, heads, _, points = weights.shape
    out = torch.zeros(batch, queries, heads, values.shape[3], dtype=values.dtype)
    first = 0
    for level, size in enumerate(sizes):
        count = size[0] * size[1] * size[2]
        cells = values[:, first : first + count].reshape(batch, *size, heads, -1)
        first += count
        for b, q, h, p in itertools.product(range(batch), range(queries), range(heads), range(points)):
            where = places[b, q, h, level, p] * torch.tensor(size) - 0.5  # in cells, 0 at the first one's centre
            low = where.floor()
            for corner in itertools.product((0, 1), repeat=3):
                cell = [int(c) for c in low + torch.tensor(corner)]
                if all(0 <= c < n for c, n in zip(cell, size, strict=True)):
                    share = (1 - (where - torch.tensor(cell)).abs()).prod()
                    out[b, q, h] += weights[b, q, h, level, p] * share * cells[b, cell[0], cell[1], cell[2], h]
    return out.flatten(2)
