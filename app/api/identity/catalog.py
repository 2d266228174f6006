"""The catalog: where the services are, as seen from where the client came."""

import uuid
from typing import Any

from app.api.auth import context
from app.api.links import base_url

#: type, name, path. Clients append `v2.0/` and `v2/` themselves to network and image.
SERVICES = (
    ("identity", "keystone", "/identity/v3"),
    ("compute", "nova", "/compute/v2.1"),
    ("image", "glance", "/image"),
    ("network", "neutron", "/network"),
)

INTERFACES = ("public", "internal", "admin")

#: Ids that stay the same without being kept anywhere.
_NAMESPACE = uuid.UUID("5b3f4d0e-6f0b-4a7e-9d0c-0d6f6c8f9a51")


def catalog() -> list[dict[str, Any]]:
    """Return the catalog as tokens carry it."""
    region = context().settings.region
    return [
        {
            "id": _id(kind),
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": _id(f"{kind} {interface}"),
                    "interface": interface,
                    "region": region,
                    "region_id": region,
                    "url": f"{base_url()}{path}",
                }
                for interface in INTERFACES
            ],
        }
        for kind, name, path in SERVICES
    ]


def _id(name: str) -> str:
    return uuid.uuid5(_NAMESPACE, name).hex
