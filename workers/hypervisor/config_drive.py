"""The config drive: a small ISO 9660 image with the label that cloud-init looks for."""

from io import BytesIO
from pathlib import Path

import pycdlib

from workers.hypervisor.files import replacing

#: The label by which cloud-init, and every other reader, knows an OpenStack config drive.
LABEL = "config-2"


def write_config_drive(path: Path, files: dict[str, bytes]) -> None:
    """Write `files` (path -> content) as an ISO image at `path`, whole or not at all.

    A drive that is there is replaced by a new inode: a guest that has the old one open keeps it.
    Only root may read it, since user data and passwords are in it.
    """
    image = pycdlib.PyCdlib()
    image.new(interchange_level=4, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    try:
        for directory in _directories(files):
            image.add_directory(
                f"/{directory}", rr_name=directory.rpartition("/")[2], joliet_path=f"/{directory}"
            )
        for name, content in files.items():
            image.add_fp(
                BytesIO(content),
                len(content),
                f"/{name}",
                rr_name=name.rpartition("/")[2],
                joliet_path=f"/{name}",
            )
        with replacing(path) as (target, _):
            image.write_fp(target)
    finally:
        image.close()


def _directories(files: dict[str, bytes]) -> list[str]:
    """Return every directory on the way to the files, parents first."""
    found: list[str] = []
    for name in files:
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            directory = "/".join(parts[:depth])
            if directory not in found:
                found.append(directory)
    return found
