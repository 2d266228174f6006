"""Names of servers: the guest's host name made from what the owner calls it."""

import re

_NOT_ALLOWED = re.compile(r"[^a-z0-9.-]+")


def hostname_of(name: str, server_id: str) -> str:
    """Return a host name by RFC 1123's rules: letters, digits, inner hyphens, at most 63.

    A name of which nothing is left gives one made from the server's id.
    """
    label = _NOT_ALLOWED.sub("-", name.lower().replace("_", "-")).replace(".", "-")
    label = label.strip("-")[:63].strip("-")
    return label or f"server-{server_id}"[:63]


def numbered(name: str, count: int) -> list[str]:
    """Return the names of servers that are asked for together."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def instance_name(server_id: str) -> str:
    """Return what a server is called on its host."""
    return f"byre-{server_id}"
