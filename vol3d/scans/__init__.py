"""Scans in and results out: volumes of every clinical format as one object with its place in the world."""

from vol3d.scans.find import find_scans, scan_stem
from vol3d.scans.read import read_labels, read_volume
from vol3d.scans.volume import Grid, Segmentation, Volume
from vol3d.scans.write import write_nifti, write_segmentation

__all__ = [
    "Grid",
    "Segmentation",
    "Volume",
    "find_scans",
    "read_labels",
    "read_volume",
    "scan_stem",
    "write_nifti",
    "write_segmentation",
]
