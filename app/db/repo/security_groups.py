"""Queries on security groups, their rules, and which ports are in them."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session, selectinload

from app.db.models import (
    Port,
    PortSecurityGroup,
    RequestSpec,
    SecurityGroup,
    SecurityGroupRule,
)
from app.db.repo.paging import NO_FACTS, Facts, having


def default_id(session: Session, project_id: str) -> str | None:
    """Return the id of the project's default group, if it was made."""
    return session.scalar(select(SecurityGroup.id).where(SecurityGroup.default_of == project_id))


def get(session: Session, group_id: str) -> SecurityGroup | None:
    """Return a group with its rules."""
    query = select(SecurityGroup).where(SecurityGroup.id == group_id)
    return session.scalars(query.options(selectinload(SecurityGroup.rules))).one_or_none()


def lock(session: Session, group_ids: Iterable[str]) -> list[SecurityGroup]:
    """Return those of the groups that are there, locked in the order of their ids: their rules do
    not change meanwhile, but ports may come to be in them."""
    query = select(SecurityGroup).where(SecurityGroup.id.in_(sorted(set(group_ids))))
    query = query.order_by(SecurityGroup.id).with_for_update(key_share=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def keep(session: Session, group_ids: Collection[str]) -> set[str]:
    """Return which of the groups are there, and will be until the transaction ends."""
    query = select(SecurityGroup.id).where(SecurityGroup.id.in_(group_ids))
    query = query.order_by(SecurityGroup.id).with_for_update(read=True, key_share=True)
    return set(session.scalars(query))


def listed(
    session: Session, project_id: str | None, facts: Facts = NO_FACTS
) -> list[SecurityGroup]:
    """Return a project's groups (None: all) with their rules, by age, with these facts."""
    query = _of(select(SecurityGroup), SecurityGroup.project_id, project_id)
    query = having(query, SecurityGroup, facts)
    query = query.options(selectinload(SecurityGroup.rules))
    return list(session.scalars(query.order_by(SecurityGroup.created_at, SecurityGroup.id)))


def named(session: Session, project_id: str, words: Collection[str]) -> list[tuple[str, str]]:
    """Return (id, name) of the project's groups that have one of the words as id or as name."""
    query = select(SecurityGroup.id, SecurityGroup.name).where(
        SecurityGroup.project_id == project_id,
        or_(SecurityGroup.id.in_(words), SecurityGroup.name.in_(words)),
    )
    return [(group_id, name) for group_id, name in session.execute(query)]


def names(session: Session, group_ids: Collection[str]) -> dict[str, str]:
    """Return the names of these groups by id."""
    query = select(SecurityGroup.id, SecurityGroup.name).where(SecurityGroup.id.in_(group_ids))
    return dict(session.execute(query).all())


def rules(
    session: Session, project_id: str | None, group_ids: Collection[str] | None = None
) -> list[SecurityGroupRule]:
    """Return a project's rules (None: all), by age; of the groups given, or all."""
    query = _of(select(SecurityGroupRule), SecurityGroupRule.project_id, project_id)
    if group_ids is not None:
        query = query.where(SecurityGroupRule.security_group_id.in_(group_ids))
    order = (SecurityGroupRule.created_at, SecurityGroupRule.id)
    return list(session.scalars(query.order_by(*order)))


def get_rule(session: Session, rule_id: str) -> SecurityGroupRule | None:
    """Return a rule as it is now, or None."""
    query = select(SecurityGroupRule).where(SecurityGroupRule.id == rule_id)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def referring(session: Session, group_id: str) -> set[str]:
    """Return ids of the other groups with a rule that names this one as the other side."""
    query = select(SecurityGroupRule.security_group_id).where(
        SecurityGroupRule.remote_group_id == group_id,
        SecurityGroupRule.security_group_id != group_id,
    )
    return set(session.scalars(query))


def count(session: Session, project_id: str) -> int:
    """Count the project's groups."""
    query = select(func.count()).select_from(SecurityGroup)
    return session.scalar(query.where(SecurityGroup.project_id == project_id)) or 0


def count_rules(session: Session, project_id: str) -> int:
    """Count the project's rules."""
    query = select(func.count()).select_from(SecurityGroupRule)
    return session.scalar(query.where(SecurityGroupRule.project_id == project_id)) or 0


def is_used(session: Session, group_id: str) -> bool:
    """Say whether ports are in the group."""
    query = select(PortSecurityGroup.port_id).where(PortSecurityGroup.security_group_id == group_id)
    return session.scalar(query.limit(1)) is not None


def of_ports(session: Session, port_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of each port's groups, sorted."""
    query = select(PortSecurityGroup.port_id, PortSecurityGroup.security_group_id)
    query = query.where(PortSecurityGroup.port_id.in_(port_ids))
    found: dict[str, list[str]] = {}
    for port_id, group_id in session.execute(query.order_by(PortSecurityGroup.security_group_id)):
        found.setdefault(port_id, []).append(group_id)
    return found


def of_servers(session: Session, server_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the groups of each server's ports, sorted; of a server without ports, of
    those that it was asked to be in."""
    query = select(Port.server_id, PortSecurityGroup.security_group_id).distinct()
    query = query.outerjoin(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
    query = query.where(Port.server_id.in_(server_ids))
    found: dict[str, list[str]] = {}
    for server_id, group_id in session.execute(query.order_by(PortSecurityGroup.security_group_id)):
        found.setdefault(str(server_id), []).extend([group_id] if group_id else [])
    without = [server_id for server_id in server_ids if server_id not in found]
    if without:
        asked = select(RequestSpec.server_id, RequestSpec.security_group_ids)
        rows = session.execute(asked.where(RequestSpec.server_id.in_(without)))
        found |= {server_id: [] for server_id in without}
        found |= {server_id: list(ids) for server_id, ids in rows}
    return found


def names_of_servers(session: Session, server_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the names of each server's groups, sorted, each once: as `of_servers`, in one query as
    long as all of the servers have ports. It is asked with each look at a server."""
    query = select(Port.server_id, SecurityGroup.name).distinct()
    query = query.outerjoin(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
    query = query.outerjoin(
        SecurityGroup, SecurityGroup.id == PortSecurityGroup.security_group_id
    ).where(Port.server_id.in_(server_ids))
    found: dict[str, list[str]] = {}
    for server_id, name in session.execute(query):
        found.setdefault(str(server_id), []).extend([] if name is None else [name])
    without = [server_id for server_id in server_ids if server_id not in found]
    if without:
        asked = of_servers(session, without)
        known = names(session, {group_id for ids in asked.values() for group_id in ids})
        for server_id, ids in asked.items():
            found[server_id] = [known[group_id] for group_id in ids if group_id in known]
    return {server_id: sorted(set(each)) for server_id, each in found.items()}


def leave(session: Session, group_id: str, port_ids: Collection[str]) -> None:
    """Take ports out of a group."""
    session.execute(
        delete(PortSecurityGroup).where(
            PortSecurityGroup.security_group_id == group_id,
            PortSecurityGroup.port_id.in_(port_ids),
        )
    )


def _of(query: Select[Any], column: Any, project_id: str | None) -> Select[Any]:
    return query if project_id is None else query.where(column == project_id)
