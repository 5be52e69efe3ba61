"""Furnished rooms in the raw format of ScanNet v2: every step from raw files to scores runs without a download."""

from pointcloud.generate.rooms.write import write_rooms

__all__ = ["write_rooms"]
