"""libvirt's errors are judged by their codes, whatever their words."""

import errno

import libvirt
import pytest

from tasks.errors import ByreError, HostBusy, HostError, HostFull, HostGone
from workers.hypervisor.libvirt.errors import translated


def make_error(code: int, domain: int = libvirt.VIR_FROM_QEMU, number: int = 0) -> Exception:
    """Return the error that libvirt would raise with that code."""
    error = libvirt.libvirtError("asked")
    error.err = (code, domain, "words of no meaning", 2, None, None, None, number, -1)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (make_error(libvirt.VIR_ERR_INTERNAL_ERROR), HostError),
        (make_error(libvirt.VIR_ERR_CONFIG_UNSUPPORTED), HostError),
        (make_error(libvirt.VIR_ERR_RPC, libvirt.VIR_FROM_RPC), HostGone),
        (make_error(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC), HostGone),
        (make_error(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC), HostGone),
        (make_error(libvirt.VIR_ERR_SYSTEM_ERROR, number=errno.EIO), HostError),
        (make_error(libvirt.VIR_ERR_SYSTEM_ERROR, number=errno.ENOSPC), HostFull),
        (make_error(libvirt.VIR_ERR_NO_MEMORY), HostFull),
        (make_error(libvirt.VIR_ERR_OPERATION_TIMEOUT), HostBusy),
        (make_error(libvirt.VIR_ERR_RESOURCE_BUSY), HostBusy),
    ],
)
def test_the_code_decides(error: Exception, expected: type[ByreError]) -> None:
    with pytest.raises(ByreError) as caught, translated("start the server"):
        raise error
    assert type(caught.value) is expected
    assert "start the server" in caught.value.public
    assert "words of no meaning" not in caught.value.public
    assert caught.value.facts["libvirt"] == "words of no meaning"


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(HostFull), translated("start the server"):
        raise HostFull("No room.")
