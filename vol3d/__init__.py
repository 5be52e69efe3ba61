"""vol3d: 3D vision on point clouds and medical volumes. Importing it does not import torch."""

__version__ = "0.1.0"
