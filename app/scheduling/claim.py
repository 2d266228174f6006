"""Claim room on a host for one server: the only writer of allocations.

A claim is one guarded update of the host's row and one allocation row, in one transaction. Two
claims for the last room meet in the update: the second one finds its condition no longer true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Allocation, Hypervisor, Server
from app.db.repo import claims
from app.scheduling.rules import RULES, Ask, explain, order
from tasks.errors import NoValidHost
from tasks.messages import Job

#: Hosts looked at in one round, and rounds: only if all of a round's hosts were taken by others
#: between the look and the claim does another round begin.
CANDIDATES = 5
ROUNDS = 5

#: What an allocation counts, by its columns and by what an Ask calls them.
_AMOUNTS = ("vcpus", "dedicated_vcpus", "memory_mib", "disk_gib")


@dataclass(frozen=True)
class Claim:
    """The host that has been claimed."""

    hypervisor_id: str
    host: str


def claim(session: Session, server: Server, job: Job, ask: Ask) -> Claim:
    """Claim the best host that passes every rule. A server that has its host finds its claim.

    Raises NoValidHost with what each rule refused, in counts.
    """
    if server.hypervisor_id is not None:
        return _existing(session, server.hypervisor_id)
    return claim_another(session, job, ask)


def claim_another(session: Session, job: Job, ask: Ask) -> Claim:
    """Claim the best host that passes every rule, whatever the server holds elsewhere. Raises
    NoValidHost."""
    predicates = [rule.passes(ask) for rule in RULES]
    for _ in range(ROUNDS):
        candidates = claims.best(session, predicates, order(ask), CANDIDATES)
        if not candidates:
            break
        for hypervisor_id, host in candidates:
            if claims.take(
                session, hypervisor_id, predicates, _allocation(hypervisor_id, job, ask)
            ):
                return Claim(hypervisor_id, host)
    refused = claims.refusals(session, [(rule.name, rule.passes(ask)) for rule in RULES])
    raise NoValidHost(explain(refused, ask))


def needs(ask: Ask) -> dict[str, int]:
    """Return what a server holds of its host, by the allocation's columns."""
    return {name: getattr(ask, name) for name in _AMOUNTS}


def held(session: Session, server_id: str, hypervisor_id: str) -> dict[str, int]:
    """Return what the server holds of the host, by the allocation's columns. Raises
    NoValidHost."""
    allocation = claims.get(session, server_id, hypervisor_id)
    if allocation is None:
        raise NoValidHost("No valid host was found: the server holds no room on its own.")
    return {name: getattr(allocation, name) for name in _AMOUNTS}


def widen(session: Session, server_id: str, hypervisor_id: str, ask: Ask) -> dict[str, int]:
    """Claim, on the host where the server is, a second shape of it beside the one that it has, and
    return what it held before. Its guest has one of them at a time, so processors and memory are
    the larger ones; disks are there twice. Raises NoValidHost."""
    before = held(session, server_id, hypervisor_id)
    wider = {name: max(before[name], amount) for name, amount in needs(ask).items()}
    wider["disk_gib"] = before["disk_gib"] + ask.disk_gib
    amounts: dict[str, Any] = {name: wider[name] - before[name] for name in _AMOUNTS}
    more = replace(ask, **amounts)
    allocation = session.get_one(Allocation, (server_id, hypervisor_id))
    if not claims.change(session, allocation, wider, [rule.passes(more) for rule in RULES]):
        rules = [(rule.name, rule.passes(more)) for rule in RULES]
        refused = claims.refusals(session, rules, Hypervisor.id == hypervisor_id)
        raise NoValidHost(explain(refused, more))
    return before


def set_to(
    session: Session, server_id: str, hypervisor_id: str, amounts: Mapping[str, int]
) -> None:
    """Have the server hold these amounts of the host, if it holds any. Only ever less than it
    holds: what it held at the same time before is there."""
    allocation = claims.get(session, server_id, hypervisor_id)
    if allocation is not None:
        claims.change(session, allocation, amounts)


def would_fit(session: Session, ask: Ask) -> bool:
    """Say whether a host passes every rule now, without claiming it."""
    predicates = [rule.passes(ask) for rule in RULES]
    return bool(claims.best(session, predicates, order(ask), 1))


def release(session: Session, server_id: str, hypervisor_id: str) -> None:
    """Give back what the server holds of a host. Absent is done."""
    claims.give_back(session, server_id, hypervisor_id)


def _existing(session: Session, hypervisor_id: str) -> Claim:
    host = session.get_one(Hypervisor, hypervisor_id)
    return Claim(host.id, host.name)


def _allocation(hypervisor_id: str, job: Job, ask: Ask) -> Allocation:
    return Allocation(
        server_id=job.server_id,
        hypervisor_id=hypervisor_id,
        run_id=job.run_id,
        attempt=job.attempt,
        **needs(ask),
    )
