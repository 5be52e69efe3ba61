"""Scans in and results out: volumes and point clouds of every common format, each with its place in the world."""

from vol3d.scans.box_lines import write_box_lines
from vol3d.scans.detections import Detections
from vol3d.scans.find import find_scans, scan_stem
from vol3d.scans.find_points import find_point_files, points_file_stem
from vol3d.scans.mesh import sample_surface
from vol3d.scans.points import PointCloud
from vol3d.scans.read import read_labels, read_volume
from vol3d.scans.read_detections import parse_objects, read_detections
from vol3d.scans.read_points import read_points
from vol3d.scans.volume import Grid, Segmentation, Volume
from vol3d.scans.write import write_nifti, write_segmentation
from vol3d.scans.write_detections import describe_objects, write_detections

__all__ = [
    "Detections",
    "Grid",
    "PointCloud",
    "Segmentation",
    "Volume",
    "describe_objects",
    "find_point_files",
    "find_scans",
    "parse_objects",
    "points_file_stem",
    "read_detections",
    "read_labels",
    "read_points",
    "read_volume",
    "sample_surface",
    "scan_stem",
    "write_box_lines",
    "write_detections",
    "write_nifti",
    "write_segmentation",
]
