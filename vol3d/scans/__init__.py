"""Scans in and results out: volumes and point clouds of every common format, each with its place in the world."""

from vol3d.scans.find import find_scans
from vol3d.scans.paths import scan_stem
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import find_point_files, points_file_stem
from vol3d.scans.points.mesh import sample_surface
from vol3d.scans.points.read import read_points
from vol3d.scans.read import read_labels, read_volume
from vol3d.scans.results.box_lines import write_box_lines
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import parse_objects, read_detections
from vol3d.scans.results.write import describe_objects, write_detections
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume
from vol3d.scans.write import write_nifti, write_segmentation

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
