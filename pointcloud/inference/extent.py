"""Whether a user's scan is as wide as those that a model was made for.

A street given to a model of rooms, or a room given to one of streets, yields boxes that look like results and mean
nothing. The scan is not refused, but a note is printed.
"""

from __future__ import annotations

from pointcloud.structures.width import width_m
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

WIDEST_ROOM_M, NARROWEST_STREET_M = 40.0, 15.0


def unlike_a_room(cloud: PointCloud) -> tuple[Note, ...]:
    """A note if the scan is wider than a flat."""
    width = width_m(cloud)
    if width <= WIDEST_ROOM_M:
        return ()
    text = "the scan is {width_m:.0f} m wide and the model was made for rooms: expect little; --units may help"
    return (Note("wider-than-a-room", text, "units", numbers={"width_m": width}),)


def unlike_a_street(cloud: PointCloud) -> tuple[Note, ...]:
    """A note if the scan is as narrow as a room."""
    width = width_m(cloud)
    if width >= NARROWEST_STREET_M or not len(cloud):
        return ()
    text = "the scan is {width_m:.1f} m wide and the model was made for streets: expect little; --units may help"
    return (Note("narrower-than-a-street", text, "units", numbers={"width_m": width}),)
