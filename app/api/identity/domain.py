"""The one domain. Clients must name one; this is it."""

from collections.abc import Mapping

DOMAIN = {"id": "default", "name": "Default"}


def is_domain(named: Mapping[str, str]) -> bool:
    """Say whether that names it, by id or by name."""
    return all(DOMAIN[key] == value for key, value in named.items() if key in DOMAIN)
