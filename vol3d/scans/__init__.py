"""Scans in and results out: volumes of every clinical format as one object with its place in the world."""

from vol3d.scans.read import read_labels, read_volume
from vol3d.scans.volume import Grid, Segmentation, Volume

__all__ = ["Grid", "Segmentation", "Volume", "read_labels", "read_volume"]
