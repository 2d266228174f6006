"""Queries on hypervisors for scheduling. Only app.scheduling writes through here."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, case, func, select, update
from sqlalchemy.orm import Session

from app.db.models import Allocation, Hypervisor


def best(
    session: Session,
    predicates: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    limit: int,
) -> list[tuple[str, str]]:
    """Return (id, name) of the hosts that pass all predicates, best first."""
    query = select(Hypervisor.id, Hypervisor.name).where(*predicates).order_by(*order).limit(limit)
    return [(host_id, name) for host_id, name in session.execute(query)]


def take(
    session: Session,
    hypervisor_id: str,
    predicates: Sequence[ColumnElement[bool]],
    allocation: Allocation,
) -> bool:
    """Claim in one guarded update; False if the host no longer passes the predicates."""
    result = session.execute(
        update(Hypervisor)
        .where(Hypervisor.id == hypervisor_id, *predicates)
        .values(
            vcpus_used=Hypervisor.vcpus_used + allocation.vcpus,
            dedicated_vcpus_used=Hypervisor.dedicated_vcpus_used + allocation.dedicated_vcpus,
            memory_mib_used=Hypervisor.memory_mib_used + allocation.memory_mib,
            disk_gib_used=Hypervisor.disk_gib_used + allocation.disk_gib,
        )
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[Any]", result).rowcount != 1:
        return False
    session.add(allocation)
    return True


def get(session: Session, server_id: str, hypervisor_id: str) -> Allocation | None:
    """Return what the server holds of this host, locked, or None."""
    return session.get(Allocation, (server_id, hypervisor_id), with_for_update=True)


def change(
    session: Session,
    allocation: Allocation,
    amounts: Mapping[str, int],
    predicates: Sequence[ColumnElement[bool]] = (),
) -> bool:
    """Have the locked allocation hold these amounts, by column, in one guarded update; False, and
    nothing has changed, if its host does not pass the predicates."""
    used = {
        f"{name}_used": getattr(Hypervisor, f"{name}_used") + amount - getattr(allocation, name)
        for name, amount in amounts.items()
    }
    result = session.execute(
        update(Hypervisor)
        .where(Hypervisor.id == allocation.hypervisor_id, *predicates)
        .values(used)
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[Any]", result).rowcount != 1:
        return False
    for name, amount in amounts.items():
        setattr(allocation, name, amount)
    return True


def give_back(session: Session, server_id: str, hypervisor_id: str) -> None:
    """Release the server's allocation on this host, if it has one."""
    key = (server_id, hypervisor_id)
    allocation = session.get(Allocation, key, with_for_update=True)
    if allocation is None:
        return
    session.execute(
        update(Hypervisor)
        .where(Hypervisor.id == allocation.hypervisor_id)
        .values(
            vcpus_used=Hypervisor.vcpus_used - allocation.vcpus,
            dedicated_vcpus_used=Hypervisor.dedicated_vcpus_used - allocation.dedicated_vcpus,
            memory_mib_used=Hypervisor.memory_mib_used - allocation.memory_mib,
            disk_gib_used=Hypervisor.disk_gib_used - allocation.disk_gib,
        )
        .execution_options(synchronize_session=False)
    )
    session.delete(allocation)


def verdicts(
    session: Session, rules: Sequence[tuple[str, ColumnElement[bool]]]
) -> dict[str, list[str]]:
    """Return the names of the rules that refuse each host, by the host's name."""
    failed = [case((~predicate, name), else_="") for name, predicate in rules]
    query = select(Hypervisor.name, *failed).order_by(Hypervisor.name)
    return {host: [name for name in names if name] for host, *names in session.execute(query)}


def refusals(
    session: Session,
    rules: Sequence[tuple[str, ColumnElement[bool]]],
    among: ColumnElement[bool] | None = None,
) -> dict[str, int]:
    """Count hosts by the first rule that refuses them; hosts that pass count under ''."""
    first = case(*((~predicate, name) for name, predicate in rules), else_="")
    query = select(first, func.count()).select_from(Hypervisor).group_by(first)
    if among is not None:
        query = query.where(among)
    return dict(session.execute(query).all())
