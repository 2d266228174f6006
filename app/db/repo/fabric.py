"""Queries on what hosts have to learn of networks and groups, and how far each has been told.

Rows of `fabric_states` are locked in the order of their ids, and last of all in a transaction.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from typing import cast as as_type

from sqlalchemy import CursorResult, Select, String, and_, cast, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import (
    FabricChange,
    FabricState,
    FixedAddress,
    Hypervisor,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    SecurityGroupRule,
    Server,
)

RULES, MEMBERS, NETWORK, HOST = "rules", "members", "network", "host"


@dataclass(frozen=True)
class Due:
    """A host that is to be told."""

    hypervisor_id: str
    host: str
    revision: int
    sends: int


# --- changes -------------------------------------------------------------------------------------


def note(session: Session, kind: str, subject_ids: Iterable[str]) -> None:
    """Note that something has changed. The row is nobody's to wait for."""
    session.add_all(FabricChange(kind=kind, subject_id=one) for one in sorted(set(subject_ids)))


def take_changes(session: Session, limit: int) -> dict[str, set[str]]:
    """Remove the oldest changes that nobody else is settling, and return them: kind -> ids."""
    query = select(FabricChange).order_by(FabricChange.id).limit(limit)
    rows = list(session.scalars(query.with_for_update(skip_locked=True)))
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.kind, set()).add(row.subject_id)
    if rows:
        session.execute(delete(FabricChange).where(FabricChange.id.in_([row.id for row in rows])))
    return found


# --- whom it concerns ----------------------------------------------------------------------------

#: Servers that are on a host.
_THERE = (Server.hypervisor_id.is_not(None), Server.deleted_at.is_(None))


def hosts_with_groups(session: Session, group_ids: Collection[str]) -> set[str]:
    """Return the hosts that have ports in one of the groups."""
    return set(session.scalars(_hosts_of_groups().where(_in_group(group_ids))))


def hosts_naming_groups(session: Session, group_ids: Collection[str]) -> set[str]:
    """Return the hosts that have ports in a group with a rule that names one of the groups."""
    naming = select(SecurityGroupRule.security_group_id).where(
        SecurityGroupRule.remote_group_id.in_(group_ids)
    )
    query = _hosts_of_groups().where(PortSecurityGroup.security_group_id.in_(naming))
    return set(session.scalars(query))


def hosts_on_networks(session: Session, network_ids: Collection[str]) -> set[str]:
    """Return the hosts that have ports on one of the networks."""
    query = select(Server.hypervisor_id).join(Port, Port.server_id == Server.id).distinct()
    return set(session.scalars(query.where(Port.network_id.in_(network_ids), *_THERE)))


def _hosts_of_groups() -> Select[Any]:
    query = select(Server.hypervisor_id).join(Port, Port.server_id == Server.id)
    query = query.join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
    return query.where(*_THERE).distinct()


def _in_group(group_ids: Collection[str]) -> Any:
    return PortSecurityGroup.security_group_id.in_(group_ids)


def groups_of_server(session: Session, server_id: str) -> set[str]:
    """Return the groups that the server's ports are in."""
    query = select(PortSecurityGroup.security_group_id).join(
        Port, Port.id == PortSecurityGroup.port_id
    )
    return set(session.scalars(query.where(Port.server_id == server_id)))


def networks_of_server(session: Session, server_id: str) -> set[str]:
    """Return the networks that the server has ports on."""
    return set(session.scalars(select(Port.network_id).where(Port.server_id == server_id)))


def networks_on_host(session: Session, hypervisor_id: str) -> set[str]:
    """Return the networks that servers on the host have ports on."""
    query = select(Port.network_id).join(Server, Server.id == Port.server_id)
    return set(session.scalars(query.where(Server.hypervisor_id == hypervisor_id, *_THERE)))


# --- how far each host has been told -------------------------------------------------------------


def begin(session: Session, hypervisor_id: str, moment: datetime) -> None:
    """A host is new. It has everything to learn."""
    session.add(
        FabricState(hypervisor_id=hypervisor_id, revision=milliseconds(moment), changed_at=moment)
    )


def raise_revisions(
    session: Session, hypervisor_ids: Collection[str], moment: datetime
) -> dict[str, int]:
    """Give each of these hosts something new to learn; return their revisions."""
    query = select(FabricState).where(FabricState.hypervisor_id.in_(hypervisor_ids))
    query = query.order_by(FabricState.hypervisor_id).with_for_update()
    said = _carried_out(session, hypervisor_ids)
    raised = {}
    for state in session.scalars(query.execution_options(populate_existing=True)):
        # More than we ever sent: this database has been put back to an older state.
        newest = max(state.revision, said.get(state.hypervisor_id, 0))
        state.revision = max(newest + 1, milliseconds(moment))
        state.changed_at, state.sends = moment, 0
        raised[state.hypervisor_id] = state.revision
    return raised


def _carried_out(session: Session, hypervisor_ids: Collection[str]) -> dict[str, int]:
    query = select(Hypervisor.id, Hypervisor.fabric_carried_out)
    return dict(session.execute(query.where(Hypervisor.id.in_(hypervisor_ids))).all())


def milliseconds(moment: datetime) -> int:
    """Return the moment as a revision."""
    return int(moment.timestamp() * 1000)


def revision(session: Session, hypervisor_id: str) -> int:
    """Return what a host has to learn up to. To be read before that which is told of it: what is
    read later is newer, never older."""
    query = select(FabricState.revision).where(FabricState.hypervisor_id == hypervisor_id)
    return session.scalar(query) or 0


def listed(session: Session) -> list[tuple[Hypervisor, FabricState]]:
    """Return all hosts, in the order in which they registered."""
    query = select(Hypervisor, FabricState)
    query = query.join(FabricState, FabricState.hypervisor_id == Hypervisor.id)
    rows = session.execute(query.order_by(Hypervisor.number))
    return [(host, state) for host, state in rows]


def ahead(session: Session) -> set[str]:
    """Return hosts that carried out more than there is to learn: the database was put back."""
    query = select(Hypervisor.id).join(FabricState, FabricState.hypervisor_id == Hypervisor.id)
    return set(session.scalars(query.where(Hypervisor.fabric_carried_out > FabricState.revision)))


def due(session: Session, *, alive_since: datetime, sent_before: datetime, limit: int) -> list[Due]:
    """Return living hosts that are to be told: what was not sent yet, unless one was sent a moment
    ago; and what was sent, not carried out, and the host was heard of since."""
    new = and_(
        FabricState.sent_revision < FabricState.revision,
        or_(FabricState.sent_at.is_(None), FabricState.sent_at < sent_before),
    )
    lost = and_(
        Hypervisor.fabric_carried_out < FabricState.revision,
        Hypervisor.last_seen_at >= FabricState.resend_at,
    )
    query = (
        select(Hypervisor.id, Hypervisor.name, FabricState.revision, FabricState.sends)
        .join(FabricState, FabricState.hypervisor_id == Hypervisor.id)
        .where(Hypervisor.last_seen_at >= alive_since, or_(new, lost))
        .order_by(FabricState.changed_at, Hypervisor.id)
        .limit(limit)
    )
    return [Due(*row) for row in session.execute(query)]


def is_any_unsent(session: Session, alive_since: datetime) -> bool:
    """Say whether a living host has something new to learn that was not sent yet."""
    query = select(
        exists().where(
            FabricState.hypervisor_id == Hypervisor.id,
            FabricState.sent_revision < FabricState.revision,
            Hypervisor.last_seen_at >= alive_since,
        )
    )
    return bool(session.scalar(query))


def send_anew(session: Session, hypervisor_id: str, moment: datetime) -> None:
    """Let a host that has started anew be sent at once what it has not carried out."""
    session.execute(
        update(FabricState)
        .where(FabricState.hypervisor_id == hypervisor_id)
        .values(sends=0, resend_at=moment)
        .execution_options(synchronize_session=False)
    )


def mark_sent(session: Session, host: Due, moment: datetime, pause: timedelta) -> bool:
    """Note that the host is being told now; False if somebody else has it in hand."""
    result = session.execute(
        update(FabricState)
        .where(
            FabricState.hypervisor_id == host.hypervisor_id,
            FabricState.sends == host.sends,
            FabricState.revision == host.revision,
            or_(
                FabricState.sent_revision < host.revision,
                FabricState.resend_at <= moment,
            ),
        )
        .values(
            sent_revision=host.revision,
            sent_at=moment,
            sends=host.sends + 1,
            resend_at=moment + pause,
        )
        .execution_options(synchronize_session=False)
    )
    return as_type("CursorResult[Any]", result).rowcount == 1


# --- what is told --------------------------------------------------------------------------------


def ports_on(session: Session, hypervisor_id: str) -> list[Port]:
    """Return the ports of the servers that are on a host, less those on their way out."""
    query = select(Port).join(Server, Server.id == Port.server_id)
    query = query.where(
        Server.hypervisor_id == hypervisor_id,
        Server.deleted_at.is_(None),
        # What is being torn down must not be made again by what is told meanwhile.
        Server.delete_requested_at.is_(None),
    )
    return list(session.scalars(query.order_by(Port.id)))


def groups(session: Session, group_ids: Collection[str]) -> list[tuple[str, bool]]:
    """Return (id, stateful) of the groups, in the order of their ids."""
    query = select(SecurityGroup.id, SecurityGroup.stateful)
    query = query.where(SecurityGroup.id.in_(group_ids)).order_by(SecurityGroup.id)
    return [(group_id, stateful) for group_id, stateful in session.execute(query)]


def rules(session: Session, group_ids: Collection[str]) -> list[Any]:
    """Return what hosts are told of the groups' rules; nothing that an owner wrote as text."""
    row = SecurityGroupRule
    query = select(
        row.security_group_id,
        row.direction,
        row.ip_version,
        row.protocol_number,
        row.port_min,
        row.port_max,
        row.remote_prefix,
        row.remote_group_id,
    )
    query = query.where(row.security_group_id.in_(group_ids))
    return list(session.execute(query.order_by(row.created_at, row.id)))


def members(session: Session, group_ids: Collection[str]) -> list[tuple[str, str]]:
    """Return (group id, address) for what the groups' ports may send from, on whatever host."""
    in_group = PortSecurityGroup.security_group_id.in_(group_ids)
    query = select(PortSecurityGroup.security_group_id, FixedAddress.address)
    query = query.join(FixedAddress, FixedAddress.port_id == PortSecurityGroup.port_id)
    found = [(group_id, address) for group_id, address in session.execute(query.where(in_group))]
    pairs = select(PortSecurityGroup.security_group_id, Port.address_pairs)
    pairs = pairs.join(Port, Port.id == PortSecurityGroup.port_id)
    # As text, which is the only thing that both databases can compare.
    pairs = pairs.where(in_group, cast(Port.address_pairs, String) != "[]")
    for group_id, allowed in session.execute(pairs):
        found += [(group_id, pair["ip_address"]) for pair in allowed]
    return found
