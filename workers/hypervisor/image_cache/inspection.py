"""A look into an image before any tool opens it.

The API has looked into it as well; here it is done by the one who would suffer: a header that names
another file makes a tool hand that file to a guest (CVE-2024-32498, CVE-2026-24708).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.errors import ImageUnusable
from workers.hypervisor.qcow2 import read_header

_READ_BYTES = 64 * 1024
#: What an image of a format may look like. Discs that boot from a stick too have a disk's tables.
_ALLOWED = {"qcow2": {"qcow2"}, "raw": {"raw", "gpt"}, "iso": {"iso", "gpt"}}
#: What it must look like.
_NEEDED = {"qcow2": "qcow2", "iso": "iso"}


def check_image(path: Path, disk_format: str) -> None:
    """Raise ImageUnusable unless the file is of this format, and stands alone."""
    found = _formats(path)
    names = {str(one) for one in found}
    needed = _NEEDED.get(disk_format)
    if names - _ALLOWED[disk_format] or (needed and needed not in names):
        shown = ", ".join(sorted(names)) or "nothing known"
        raise ImageUnusable(f"The image is not in the format {disk_format}; its bytes are {shown}.")
    if disk_format == "qcow2":
        _check_qcow2(path, found)


def virtual_bytes(path: Path, disk_format: str) -> int:
    """Return how large a disk the file is to a guest. Raises ImageUnusable."""
    if disk_format != "qcow2":
        return path.stat().st_size
    header = read_header(path)
    if header is None:
        raise ImageUnusable("The image is not in the format qcow2.")
    if header.backing is not None or header.has_data_file:
        raise ImageUnusable("The image refers to another file; an image must stand alone.")
    return header.virtual_bytes


def _check_qcow2(path: Path, found: Iterable[Any]) -> None:
    virtual_bytes(path, "qcow2")
    try:
        for one in found:
            one.safety_check()
    except Exception as error:
        raise ImageUnusable(f"The image is not safe to use: {error}") from error


def _formats(path: Path) -> list[Any]:
    # Few workers fetch an image often, and all would pay for it in memory.
    from oslo_utils.imageutils.format_inspector import InspectWrapper  # noqa: PLC0415

    with path.open("rb") as file:
        wrapper = InspectWrapper(file)
        try:
            _feed(wrapper)
            return list(wrapper.formats or ())
        except Exception as error:
            # The bytes are anybody's: whatever a parser makes of them is a reason to refuse.
            raise ImageUnusable(f"The image's format cannot be told: {error}") from error


def _feed(wrapper: Any) -> None:
    """Read until the format can be told, or to the end."""
    try:
        while wrapper.formats is None and wrapper.read(_READ_BYTES):
            pass
    finally:
        wrapper.close()
