"""Images: where a host fetches them and gives them their bytes, and what it keeps of them."""

from typing import Literal

from pydantic import Field

from tasks.messages.base import Message, Value

StoredFormat = Literal["qcow2", "raw", "iso"]


class ImageSource(Value):
    """An image, where to fetch it, and how to know that it arrived whole."""

    image_id: str
    disk_format: Literal["qcow2", "raw", "iso"]
    #: A URL with a signed ticket, good until the run's deadline.
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)


class ImageUpload(Value):
    """An image that a host is to give its bytes. Travels with what copies disks."""

    image_id: str
    #: A URL with a signed ticket, good until the run's deadline.
    url: str


#: A disk of a server that moves to another host; what is not named is made anew there. `nvram`: the
#: variables of its UEFI firmware.
CarriedRole = Literal["root", "ephemeral", "nvram", "cdrom"]


class DiskUpload(Value):
    """A disk that a host is to send as an image, on the server's way to another host."""

    role: CarriedRole
    upload: ImageUpload


class DiskUploads(Value):
    """All of a server's. Travels with `pack_disks` and `send_disks`."""

    disks: list[DiskUpload]


class CarriedDisk(Value):
    """A disk that the server's new host fetches."""

    role: CarriedRole
    source: ImageSource


class CachedImage(Value):
    """An image in a hypervisor's cache, on its way there, or why it is not there."""

    #: The id by which it was fetched last; empty when that is not known any more.
    image_id: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: As it lies there, which may not be as it was fetched.
    disk_format: StoredFormat
    state: Literal["downloading", "ready", "failed"]
    #: Why it failed.
    reason: str = ""
    size_bytes: int = Field(ge=0)
    #: What it takes up on the host; holes do not.
    allocated_bytes: int = Field(ge=0)
    #: Unix seconds of the host's clock.
    used_at: float
    #: A disk lies over it, or a build is at it.
    in_use: bool = False


class CacheReport(Message):
    """All that is in a hypervisor's image cache. `taken_at` is Unix seconds of its clock."""

    host: str
    taken_at: float
    images: list[CachedImage]


class WarmCache(Message):
    """Images to have in a hypervisor's cache before anybody builds with them. Void after `deadline`
    (Unix seconds), when the tickets have expired."""

    host: str
    deadline: float
    images: list[ImageSource]
