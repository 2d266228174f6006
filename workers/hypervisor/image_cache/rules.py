"""What an operator can say of a host's image cache."""

from dataclasses import dataclass
from typing import Literal

_GIB = 1024**3

#: `as_is`: as it was fetched. An iso always stays one.
CacheFormat = Literal["as_is", "raw", "qcow2"]


@dataclass(frozen=True)
class CacheRules:
    """In which format images lie there, and when unused ones go."""

    stored_as: CacheFormat = "as_is"
    #: Seconds unused after which an image goes.
    max_age_s: float = 86_400.0
    #: All images together; what is unused goes first that was used longest ago. 0: no limit.
    max_bytes: int = 0
    #: Room that unused images make on their file system.
    floor_bytes: int = 4 * _GIB
    #: Seconds for which an image stays whatever happens: longer than a build needs from its look
    #: for the image to its disk over it.
    hold_s: float = 900.0
    #: Seconds without a byte after which a broken download is not gone on with.
    partial_max_age_s: float = 21_600.0
    #: The first pause before a broken download is gone on with; later ones are longer.
    retry_pause_s: float = 0.5
