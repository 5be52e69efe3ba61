"""The dynamic graph against loops and the original's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pointcloud.models.layers.graph import DynamicGraph, EdgeConvolution, neighbours_of
from pointcloud.models.object_dgcnn.released import object_dgcnn_head_weights
from tests.pointcloud.models.lidar_oracle import Fixture, close, load
from tests.reference import object_dgcnn as twin


def test_nearest_and_farthest_neighbours_on_a_line() -> None:
    x = torch.tensor([0.0, 1, 3, 7])[None, :, None]
    assert neighbours_of(x, 2, "nearest")[0].tolist() == [[0, 1], [1, 0], [2, 1], [3, 2]]
    assert neighbours_of(x, 1, "farthest")[0].tolist() == [[3], [3], [3], [0]]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_are_no_more_neighbours_than_queries(count: int) -> None:
    assert neighbours_of(torch.randn(2, count, 4), 16, "nearest").shape == (2, count, count)


@pytest.mark.parametrize("which", ["nearest", "farthest"])
def test_an_edge_convolution_and_its_gradients_are_those_of_loops(which) -> None:
    torch.manual_seed(0)
    layer = EdgeConvolution(6, 4, which).double().eval()
    torch.nn.init.uniform_(layer.norm.get_buffer("running_var"), 0.5, 2)
    torch.nn.init.normal_(layer.norm.get_buffer("running_mean"))
    torch.nn.init.normal_(layer.norm.weight)
    x = torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    own = [x, layer.linear.weight, layer.norm.weight]
    got = layer(x)
    norm = {**dict(layer.norm.named_buffers()), **dict(layer.norm.named_parameters())}
    wanted = torch.stack([twin.edge_convolution(one, layer.linear.weight, norm, 4, which == "farthest") for one in x])
    torch.testing.assert_close(got, wanted)
    gradients = [torch.autograd.grad(y.square().sum(), own) for y in (got, wanted)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_statistics_in_training_are_those_of_all_edges() -> None:
    torch.manual_seed(0)
    layer, x = EdgeConvolution(4, 3, "nearest"), torch.randn(2, 5, 4)
    layer(x)
    edges = []
    for sample, to in zip(x, neighbours_of(x, 3, "nearest"), strict=True):
        edges += [torch.cat([sample[j], sample[i]]) for i, row in enumerate(to) for j in row]
    mean = layer.linear(torch.stack(edges)).mean(0)
    torch.testing.assert_close(layer.norm.get_buffer("running_mean"), 0.1 * mean.detach())


def test_the_order_of_the_queries_does_not_matter() -> None:
    torch.manual_seed(0)
    graph, x, order = DynamicGraph(8, 3, "nearest").eval(), torch.randn(1, 12, 8), torch.randperm(12)
    torch.testing.assert_close(graph(x[:, order]), graph(x)[:, order])


def test_messages_are_the_originals(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "dgcnn_sampling_parts")
    graph = DynamicGraph(64, 16, "farthest")
    prefix = "transformer.decoder.layers.0.attentions.0."
    theirs = object_dgcnn_head_weights({prefix + name: t for name, t in fixture.weights("dgcnn.").items()})
    load(graph, {name.removeprefix("decoder.0.graph."): tensor for name, tensor in theirs.items()})
    query, position = (fixture[f"dgcnn.{name}"].transpose(0, 1) for name in ("query", "query_pos"))
    close(query + graph(query + position), fixture["dgcnn.out"].transpose(0, 1), atol=1e-5)
    picked = neighbours_of(query + position, 16, "farthest")
    assert torch.equal(picked.sort().values, fixture["dgcnn.topk"].long().sort().values)
