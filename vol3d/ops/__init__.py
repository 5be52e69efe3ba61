"""Operations on points: sampling, neighbours, grouping, voxels. No compile step; nothing is compiled at import."""

from vol3d.ops.batching import pad_clouds, split_clouds
from vol3d.ops.grouping import gather, group_around, interpolate_nearest
from vol3d.ops.maximum import max_over_rows
from vol3d.ops.neighbors import Ball, Nearest, ball_query, knn
from vol3d.ops.sampling import farthest_point_sample, farthest_point_sample_from_distances
from vol3d.ops.scatter import scatter_reduce, scatter_to_bev
from vol3d.ops.voxels import VoxelBlocks, VoxelGrid, VoxelPoints, assign_voxels, voxel_coordinates, voxelize

__all__ = [
    "Ball",
    "Nearest",
    "VoxelBlocks",
    "VoxelGrid",
    "VoxelPoints",
    "assign_voxels",
    "ball_query",
    "farthest_point_sample",
    "farthest_point_sample_from_distances",
    "gather",
    "group_around",
    "interpolate_nearest",
    "knn",
    "max_over_rows",
    "pad_clouds",
    "scatter_reduce",
    "scatter_to_bev",
    "split_clouds",
    "voxel_coordinates",
    "voxelize",
]
