"""What a flavor gives a server: taken from it at the create or the resize, and kept with the server
whatever becomes of the flavor."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.db.models import Flavor, RequestSpec, Server

_MIB_OF_GIB = 1024


@dataclass(frozen=True)
class Size:
    """A server's size."""

    flavor_id: str
    vcpus: int
    memory_mib: int
    #: 0 is as large as the image.
    root_gib: int
    ephemeral_gib: int
    swap_mib: int
    extra_specs: dict[str, str]
    #: What the flavor was called.
    flavor_name: str = ""

    @classmethod
    def of_flavor(cls, flavor: Flavor) -> Self:
        """Return what the flavor gives now."""
        return cls(
            flavor_id=flavor.id,
            vcpus=flavor.vcpus,
            memory_mib=flavor.memory_mib,
            root_gib=flavor.root_gib,
            ephemeral_gib=flavor.ephemeral_gib,
            swap_mib=flavor.swap_mib,
            extra_specs=dict(flavor.extra_specs),
            flavor_name=flavor.name,
        )

    @classmethod
    def of_server(cls, server: Server, spec: RequestSpec) -> Self:
        """Return what the server has."""
        return cls(
            flavor_id=server.flavor_id,
            vcpus=server.vcpus,
            memory_mib=server.memory_mib,
            root_gib=server.root_gib,
            ephemeral_gib=server.ephemeral_gib,
            swap_mib=server.swap_mib,
            extra_specs=dict(spec.extra_specs),
            flavor_name=server.flavor_name,
        )

    @classmethod
    def of_row(cls, kept: Mapping[str, Any]) -> Self:
        """Return what `kept` gave."""
        return cls(**kept)

    def disk_gib(self, image_gib: int) -> int:
        """Return how much disk a server of this size takes, of an image as large as this."""
        swap_gib = math.ceil(self.swap_mib / _MIB_OF_GIB)
        return (self.root_gib or image_gib) + self.ephemeral_gib + swap_gib

    def image_gib(self, disk_gib: int) -> int:
        """Return how large the image is of a server that takes so much disk, if the size does not
        say how large its root disk is."""
        return disk_gib - self.disk_gib(0)

    def kept(self) -> dict[str, Any]:
        """Return it as a row keeps it."""
        return asdict(self)

    def give(self, server: Server, spec: RequestSpec) -> None:
        """Write it on the server."""
        facts = asdict(self)
        spec.extra_specs = facts.pop("extra_specs")
        for column, fact in facts.items():
            setattr(server, column, fact)
