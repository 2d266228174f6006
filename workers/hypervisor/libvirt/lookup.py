"""Finding things in libvirt, where "it is not there" is an answer and not an error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import libvirt

from workers.hypervisor.libvirt.errors import has_code

_T = TypeVar("_T")

_ABSENT = (
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_NWFILTER,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
)


def lookup(finder: Callable[[str], _T], key: str) -> _T | None:
    """Return what the finder finds under the key, or None."""
    try:
        return finder(key)
    except libvirt.libvirtError as error:
        if has_code(error, *_ABSENT):
            return None
        raise


@contextmanager
def absent_is_done(*codes: int) -> Iterator[None]:
    """Treat "it is not there", and these codes besides, as success of a removal."""
    try:
        yield
    except libvirt.libvirtError as error:
        if not has_code(error, *_ABSENT, *codes):
            raise
