"""The roles: five, the same everywhere, each of which holds those below it."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.errors import NotFound

#: A role, and those that whoever has it has as well.
HELD = {
    "admin": ("admin", "manager", "member", "reader"),
    "manager": ("manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
    # For programs that act for others: it holds nothing else.
    "service": ("service",),
}

#: Ids that stay the same without being kept anywhere.
_NAMESPACE = uuid.UUID("5b3f4d0e-6f0b-4a7e-9d0c-0d6f6c8f9a51")


@dataclass(frozen=True)
class RoleView:
    """A role."""

    id: str
    name: str


def role_id(name: str) -> str:
    """Return the id of a role."""
    return uuid.uuid5(_NAMESPACE, f"role {name}").hex


ROLES = tuple(RoleView(role_id(name), name) for name in sorted(HELD))


def get(wanted: str) -> RoleView:
    """Return the role of this id. Raises NotFound."""
    for role in ROLES:
        if role.id == wanted:
            return role
    raise NotFound(f"Could not find role: {wanted}.")


def by_name(name: str) -> RoleView:
    """Return the role of this name. Raises NotFound."""
    if name not in HELD:
        raise NotFound(f"Could not find role: {name}. There are {', '.join(sorted(HELD))}.")
    return RoleView(role_id(name), name)


def expand(given: Iterable[str]) -> tuple[str, ...]:
    """Return the roles that somebody has who was given these."""
    return tuple(sorted({held for role in given for held in HELD.get(role, (role,))}))
