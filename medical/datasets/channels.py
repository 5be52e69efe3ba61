"""Which channel of which case a file holds, by its name: as training pairs them, so does prediction."""

from __future__ import annotations

from collections.abc import Sequence

_DIGITS = 4  # of nnU-Net's numbers, `case_0001`


def channel_of(name: str, channels: Sequence[str]) -> tuple[str, int] | None:
    """Case and index of the channel of a file called `name`, without its format; None if it names no channel.

    The channel's name follows the case's after an underscore, in any case; where several channels fit, the longest:
    `a_T1_Gd` is the channel `T1_Gd`, not `Gd`. nnU-Net's numbers are understood whatever the names, and
    go before names that look like them.

    >>> channel_of("case_flair", ("T1", "FLAIR")), channel_of("case_0000", ("T1", "FLAIR")), channel_of("case", ("T1",))
    (('case', 1), ('case', 0), None)
    """
    endings = [(f"_{index:0{_DIGITS}d}", index) for index in range(len(channels))]
    endings += [(f"_{channel}", index) for index, channel in enumerate(channels)]
    fitting = [(ending, index) for ending, index in endings if len(name) > len(ending) and _ends(name, ending)]
    if not fitting:
        return None
    # Of two channels that differ in case only, the one that is spelled so.
    ending, index = max(fitting, key=lambda one: (len(one[0]), name.endswith(one[0])))
    return name[: -len(ending)], index


def _ends(name: str, ending: str) -> bool:
    return name[-len(ending) :].casefold() == ending.casefold()
