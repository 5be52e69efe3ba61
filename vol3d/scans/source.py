"""One scan among a person's files: what it is read from, and what its result is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScanSource:
    """Where one scan is.

    >>> str(ScanSource(Path("study"), "study", series="1.2.3"))
    'study (series 1.2.3)'

    Args:
        path: the file, or the folder or archive of a DICOM series; of several files the first.
        name: of its result, without folder and suffix.
        series: the UID of the DICOM series where the path holds several.
        channels: the files of the channels in the model's order, where each has one of its own.
    """

    path: Path
    name: str
    series: str | None = None
    channels: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from: files, or a folder."""
        return self.channels or (self.path,)

    @property
    def short(self) -> str:
        """What a person knows it by, without folders: the file's name; of several series the name of its result.

        >>> ScanSource(Path("study"), "study_T1", series="1.2.3").short
        'study_T1'
        """
        return self.name if self.series else self.path.name

    def __str__(self) -> str:
        return f"{self.path} (series {self.series})" if self.series else str(self.path)
