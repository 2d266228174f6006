"""Security groups of servers: the compute API knows them by name or id, and for all of a server's
interfaces at once."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.db.models import Port, PortSecurityGroup, Server
from app.db.repo import addresses, servers
from app.db.repo import security_groups as repo
from app.db.session import reading
from app.runs import fabric
from app.services.context import Caller, Context
from app.services.security_groups import GroupView, group_view
from app.services.servers import found
from tasks.errors import Conflict, NotFound, RequestError


def resolved(session: Session, project_id: str, words: Sequence[str]) -> list[str]:
    """Return the ids of the project's groups that the words name, each once. An id wins over a name
    that is spelt like one. Raises RequestError for an unknown one, Conflict for an ambiguous one.
    """
    known = repo.named(session, project_id, words)
    return list(dict.fromkeys(_the_one(word, known) for word in words))


def _the_one(word: str, known: Sequence[tuple[str, str]]) -> str:
    if any(group_id == word for group_id, _ in known):
        return word
    named = [group_id for group_id, name in known if name == word]
    if not named:
        raise RequestError(f"security_groups: security group {word[:255]!r} could not be found.")
    if len(named) > 1:
        raise Conflict(
            f"Multiple security groups found matching '{word}'. Use an ID to be more specific."
        )
    return named[0]


def of_server(context: Context, caller: Caller, server_id: str) -> list[GroupView]:
    """Return the groups of the server's interfaces. Raises NotFound."""
    with reading(context.sessions) as session:
        server = found(servers.get(session, server_id), caller, server_id)
        ids = repo.of_servers(session, [server.id])[server.id]
        return [group_view(row) for row in repo.listed(session, None, {"id": ids})]


def add(context: Context, caller: Caller, server_id: str, word: str) -> None:
    """Put all of the server's interfaces into a group. Raises NotFound, Conflict, RequestError."""
    with context.sessions.begin() as session:
        ports, group_id = _look_up(session, caller, server_id, word)
        if group_id not in repo.keep(session, [group_id]):
            raise NotFound(f"Security group {word} not found for project {caller.project_id}.")
        secured = [port for port in ports if port.port_security]
        if not secured:
            raise RequestError(
                "Network requires port_security_enabled and subnet associated in order to apply"
                " security groups."
            )
        has = repo.of_ports(session, [port.id for port in secured])
        session.add_all(
            PortSecurityGroup(port_id=port.id, security_group_id=group_id)
            for port in secured
            if group_id not in has.get(port.id, ())
        )
        _note(session, server_id, secured, group_id)
    context.publisher.fabric_changed()


def remove(context: Context, caller: Caller, server_id: str, word: str) -> None:
    """Take all of the server's interfaces out of a group. Raises NotFound, Conflict, RequestError
    if it is in none of that name."""
    with context.sessions.begin() as session:
        ports, group_id = _look_up(session, caller, server_id, word)
        has = repo.of_ports(session, [port.id for port in ports])
        leaving = [port for port in ports if group_id in has.get(port.id, ())]
        if not leaving:
            raise RequestError(
                f"Security group {word} not associated with the instance {server_id}"
            )
        repo.leave(session, group_id, [port.id for port in leaving])
        _note(session, server_id, leaving, group_id)
    context.publisher.fabric_changed()


def _look_up(session: Session, caller: Caller, server_id: str, word: str) -> tuple[list[Port], str]:
    """Return the server's ports, locked, and the group that is meant. The project is the server's,
    whoever asks."""
    server = found(servers.get(session, server_id), caller, server_id)
    ports = addresses.lock_ports(session, server_id)
    try:
        (group_id,) = resolved(session, server.project_id, [word])
    except Conflict:
        raise
    except RequestError as error:
        raise NotFound(
            f"Security group {word} not found for project {server.project_id}."
        ) from error
    if not ports:
        raise Conflict(
            f"Cannot change the security groups of instance {server_id} while it is in vm_state"
            f" {server.vm_state}: it has no interface."
        )
    return ports, group_id


def _note(session: Session, server_id: str, ports: Sequence[Port], group_id: str) -> None:
    """Its host has to know the ports' groups, others the group's members."""
    for port in ports:
        port.revision += 1
    fabric.note_members(session, [group_id])
    host = session.get_one(Server, server_id).hypervisor_id
    if host is not None:
        fabric.note_host(session, host)
