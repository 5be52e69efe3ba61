"""Sparse 3D convolution: tensors, layers, kernel maps and the backends that compute them."""

from vol3d.sparse.backend import BackendState, list_backends, set_backend, use_backend
from vol3d.sparse.convolve import sparse_convolve
from vol3d.sparse.geometry import Geometry
from vol3d.sparse.kernel_map import KernelMap
from vol3d.sparse.layers import SparseConv3d, SparseConvTranspose3d, SparseInverseConv3d, SubMConv3d
from vol3d.sparse.pooling import SparseAvgPool3d, SparseMaxPool3d
from vol3d.sparse.sequential import SparseBatchNorm, SparseSequential
from vol3d.sparse.sites import ActiveSites
from vol3d.sparse.tensor import SparseTensor
from vol3d.sparse.weights import from_spconv, state_from_spconv, state_to_spconv, to_spconv

__all__ = [
    "ActiveSites",
    "BackendState",
    "Geometry",
    "KernelMap",
    "SparseAvgPool3d",
    "SparseBatchNorm",
    "SparseConv3d",
    "SparseConvTranspose3d",
    "SparseInverseConv3d",
    "SparseMaxPool3d",
    "SparseSequential",
    "SparseTensor",
    "SubMConv3d",
    "from_spconv",
    "list_backends",
    "set_backend",
    "sparse_convolve",
    "state_from_spconv",
    "state_to_spconv",
    "to_spconv",
    "use_backend",
]
