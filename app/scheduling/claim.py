"""Claim room on a host for one server: the only writer of allocations.

A claim is one guarded update of the host's row and one allocation row, in one transaction. Two
claims for the last room meet in the update: the second one finds its condition no longer true.
"""

from dataclasses import dataclass

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
        vcpus=ask.vcpus,
        dedicated_vcpus=ask.dedicated_vcpus,
        memory_mib=ask.memory_mib,
        disk_gib=ask.disk_gib,
    )
