"""libvirt's errors in our tree, judged by their codes and never by their text."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from tasks.errors import ByreError, HostBusy, HostError, HostFull, HostGone

_GONE = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
}
_BUSY = {
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_RESOURCE_BUSY,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
}
#: Where a broken connection is reported from, under codes that others use as well.
_WIRE = {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}
_WIRE_CODES = {libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR}
_FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise our error for libvirt's. `doing` says what was tried, in words for the owner.
    Raises HostGone, HostBusy, HostFull, HostError."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise to_byre(error, doing) from error


def to_byre(error: libvirt.libvirtError, doing: str) -> ByreError:
    """Return the error of our tree that this one is. libvirt's own words go to the facts."""
    kind: type[ByreError]
    kind, public = HostError, f"The hypervisor could not {doing}."
    if is_gone(error):
        kind, public = HostGone, f"The hypervisor's daemon went away while asked to {doing}."
    elif error.get_error_code() in _BUSY:
        kind, public = HostBusy, f"The hypervisor was too busy to {doing}."
    elif error.get_error_code() == libvirt.VIR_ERR_CONFIG_UNSUPPORTED:
        kind = HostError
        public = f"The hypervisor could not {doing}: it lacks what the image or the flavor needs."
    elif _is_full(error):
        kind, public = HostFull, f"The hypervisor has no room left to {doing}."
    return kind(
        public,
        libvirt=error.get_error_message(),
        libvirt_code=error.get_error_code(),
        libvirt_domain=error.get_error_domain(),
    )


def is_gone(error: libvirt.libvirtError) -> bool:
    """Say whether the connection, not the call, is what failed."""
    code = error.get_error_code()
    return code in _GONE or (code in _WIRE_CODES and error.get_error_domain() in _WIRE)


def has_code(error: libvirt.libvirtError, *codes: int) -> bool:
    """Say whether libvirt gave one of these codes."""
    return error.get_error_code() in codes


def _is_full(error: libvirt.libvirtError) -> bool:
    code = error.get_error_code()
    system = code == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_int1() in _FULL_ERRNO
    return system or code == libvirt.VIR_ERR_NO_MEMORY
