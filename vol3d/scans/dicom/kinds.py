"""What a DICOM object is: slices of a volume, or one of the many objects that lie beside them."""

from __future__ import annotations

from vol3d.scans.dicom.header import Header

_STORAGE = "1.2.840.10008.5.1.4.1.1."
SEGMENTATIONS = (f"{_STORAGE}66.4", f"{_STORAGE}66.7")  # Segmentation, Label Map Segmentation
_NO_IMAGES = (*SEGMENTATIONS, f"{_STORAGE}481.2", "1.2.840.10008.1.3.10")  # RT Dose, DICOMDIR
_CAPTURES = f"{_STORAGE}7"  # Secondary Capture, and its multi-frame kinds below


def sop_class(header: Header) -> str:
    """The UID of its kind, empty if it states none."""
    return header.text("SOPClassUID")


def kind_name(header: Header) -> str:
    """Its kind in words, as `RTSTRUCT objects (RT Structure Set Storage)`."""
    from pydicom.uid import UID

    name = UID(sop_class(header)).name or "unknown"
    return f"{header.text('Modality')} objects ({name})".lstrip()


def is_known(header: Header) -> bool:
    """True for a kind that the standard has."""
    from pydicom.uid import UID

    uid = sop_class(header)
    return UID(uid).name != uid


def is_image(header: Header) -> bool:
    """True if it has pixels with a place in the patient."""
    placed = header.has("ImagePositionPatient") or header.has("PerFrameFunctionalGroupsSequence")
    return placed and header.has("Rows") and sop_class(header) not in _NO_IMAGES


def may_be_slice(header: Header) -> bool:
    """True for what could be a slice whose place has been lost: pixels that are no screenshot, or no known kind."""
    if sop_class(header) in _NO_IMAGES:
        return False
    return not is_known(header) or (header.has("Rows") and not is_side_image(header))


def is_side_image(header: Header) -> bool:
    """True for an image that no one means by a scan, a localiser or a screenshot."""
    kind = sop_class(header)
    return kind == _CAPTURES or kind.startswith(f"{_CAPTURES}.") or "LOCALIZER" in header.text("ImageType").split("\\")
