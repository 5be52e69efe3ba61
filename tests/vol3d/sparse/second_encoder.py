"""The sparse encoder of SECOND as in mmdet3d v0.17, built from the layers under test, with that project's names."""

from __future__ import annotations

from torch import Tensor, nn

from vol3d.sparse import SparseBatchNorm, SparseConv3d, SparseSequential, SparseTensor, SubMConv3d


class BasicBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = SubMConv3d(channels, channels, bias=False), norm(channels)
        self.conv2, self.bn2 = SubMConv3d(channels, channels, bias=False), norm(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        out = self.conv1(x)
        out = self.conv2(out.with_features(self.bn1(out.features).relu()))
        out = out.with_features(self.bn2(out.features)) + x
        return out.with_features(out.features.relu())


def norm(channels: int) -> SparseBatchNorm:
    return SparseBatchNorm(channels, eps=1e-3, momentum=0.01)


def down(c_in: int, c_out: int, kernel: object, stride: object, padding: object) -> SparseSequential:
    return SparseSequential(SparseConv3d(c_in, c_out, kernel, stride, padding, bias=False), norm(c_out), nn.ReLU())


class Encoder(nn.Module):
    """Stages by name; `forward` returns all of them, `bev` the last as [batch, channels * z, y, x]."""

    def __init__(self, in_channels: int = 5) -> None:
        super().__init__()
        self.conv_input = SparseSequential(SubMConv3d(in_channels, 16, bias=False), norm(16), nn.ReLU())
        stages = {
            "encoder_layer1": [BasicBlock(16), BasicBlock(16), down(16, 32, 3, 2, 1)],
            "encoder_layer2": [BasicBlock(32), BasicBlock(32), down(32, 64, 3, 2, 1)],
            "encoder_layer3": [BasicBlock(64), BasicBlock(64), down(64, 128, 3, 2, (0, 1, 1))],
            "encoder_layer4": [BasicBlock(128), BasicBlock(128)],
        }
        self.encoder_layers = nn.ModuleDict({name: SparseSequential(*stage) for name, stage in stages.items()})
        self.conv_out = down(128, 128, (3, 1, 1), (2, 1, 1), 0)

    def forward(self, x: SparseTensor) -> dict[str, SparseTensor]:
        stages = {"conv_input": self.conv_input(x)}
        last = stages["conv_input"]
        for name, stage in self.encoder_layers.items():
            last = stages[name] = stage(last)
        stages["conv_out"] = self.conv_out(last)
        return stages

    def bev(self, x: SparseTensor) -> Tensor:
        return self(x)["conv_out"].to_dense().flatten(1, 2)
