"""Tags of networks, subnets, ports and security groups, by which their owners find them again."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import FloatingIp, Network, Port, Router, SecurityGroup, Subnet
from app.db.repo import networks as repo
from app.services import floating_ips, networks, ports, routers, security_groups, subnets
from app.services.context import Caller, Context
from app.services.network_errors import InvalidInput
from tasks.errors import NotFound

MAX_TAGS, MAX_LENGTH = 50, 60

Tagged = Network | Subnet | Port | SecurityGroup | Router | FloatingIp


def _network(session: Session, caller: Caller, thing_id: str) -> Tagged:
    return networks.owned(repo.lock_network(session, thing_id), caller, thing_id)


def _subnet(session: Session, caller: Caller, thing_id: str) -> Tagged:
    return subnets.owned_subnet(repo.lock_subnet(session, thing_id), caller, thing_id)


def _port(session: Session, caller: Caller, thing_id: str) -> Tagged:
    return ports.lock_owned(session, caller, thing_id)


#: collection -> how its things are looked at, and how they are found to be changed
_LOOKS: dict[str, Callable[[Context, Caller, str], Any]] = {
    "networks": networks.get,
    "subnets": subnets.get,
    "ports": ports.get,
    "security-groups": security_groups.get,
    "routers": routers.get,
    "floatingips": floating_ips.get,
}
_LOCKS: dict[str, Callable[[Session, Caller, str], Tagged]] = {
    "networks": _network,
    "subnets": _subnet,
    "ports": _port,
    "security-groups": security_groups.lock_owned,
    "routers": routers.lock_owned,
    "floatingips": floating_ips.lock_owned,
}


def get(context: Context, caller: Caller, collection: str, thing_id: str) -> list[str]:
    """Return a thing's tags. Raises NotFound."""
    return list(_LOOKS[collection](context, caller, thing_id).tags)


def has(context: Context, caller: Caller, collection: str, thing_id: str, tag: str) -> None:
    """Raises NotFound unless the thing has the tag."""
    if tag not in get(context, caller, collection, thing_id):
        raise NotFound(f"Tag {tag} could not be found.")


def put(
    context: Context, caller: Caller, collection: str, thing_id: str, tags: Collection[str]
) -> list[str]:
    """Give a thing these tags and no others. Raises NotFound, Forbidden, InvalidInput."""
    with context.sessions.begin() as session:
        row = _LOCKS[collection](session, caller, thing_id)
        _set(row, tags)
        return list(row.tags)


def add(context: Context, caller: Caller, collection: str, thing_id: str, tag: str) -> None:
    """Give a thing one tag more. Raises NotFound, Forbidden, InvalidInput."""
    with context.sessions.begin() as session:
        row = _LOCKS[collection](session, caller, thing_id)
        _set(row, {*row.tags, tag})


def remove(context: Context, caller: Caller, collection: str, thing_id: str, tag: str) -> None:
    """Take a tag from a thing. Raises NotFound, Forbidden."""
    with context.sessions.begin() as session:
        row = _LOCKS[collection](session, caller, thing_id)
        if tag not in row.tags:
            raise NotFound(f"Tag {tag} could not be found.")
        _set(row, set(row.tags) - {tag})


def _set(row: Tagged, tags: Collection[str]) -> None:
    wanted = sorted(set(tags))
    if len(wanted) > MAX_TAGS:
        raise InvalidInput(f"tags: more than {MAX_TAGS} of them.")
    for tag in wanted:
        if not 1 <= len(tag) <= MAX_LENGTH or "," in tag or not tag.isprintable():
            raise InvalidInput(
                f"tags: {tag[:MAX_LENGTH]!r} must be 1 to {MAX_LENGTH} printable characters, no"
                " comma."
            )
    if wanted != row.tags:
        row.tags = wanted
        row.revision += 1
