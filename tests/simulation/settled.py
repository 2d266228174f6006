"""What must hold once nothing is being done any more."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Allocation, Attempt, Hypervisor, Migration, Port, Run, Server, Stage
from app.db.session import Sessions, reading
from tasks.messages import Thing
from tasks.pipelines import DETACH_INTERFACE
from tests.simulation.hosts import Machine

#: status -> the state of the domain that goes with it
_DOMAINS = {
    "ACTIVE": "running",
    "SHUTOFF": "shutoff",
    "PAUSED": "paused",
    "SUSPENDED": "shutoff",
}

#: What stays so whatever its guest does; only its power is followed: power state -> the domain's.
_KEPT = ("RESCUE", "VERIFY_RESIZE")
_BY_POWER = {1: "running", 3: "paused", 4: "shutoff"}


@dataclass(frozen=True)
class _Found:
    """What is there of one server."""

    server: Server
    #: Where it should be.
    host: str | None
    #: Where it may yet go back to, if that is another host.
    former_host: str | None
    #: machine -> what is on it.
    things: Mapping[str, list[Thing]]
    #: Names of hosts on which it holds room.
    allocated: list[str]
    ports: int
    #: Whether its owner had an interface taken out.
    gave_ports_up: bool


def unsettled(
    sessions: Sessions, machines: Mapping[str, Machine], deleted: Collection[str]
) -> list[str]:
    """Return what is not as it should be in the end; nothing if all is. `deleted`: servers whose
    deletion was answered."""
    with reading(sessions) as session:
        found = list(_found(session, machines))
        complaints = [*_of_runs(session), *_of_hosts(session), *_of_orphans(machines, found)]
        complaints += _of_resizes(session, machines, found)
        for server in found:
            if server.server.id in deleted and server.server.deleted_at is None:
                complaints.append(f"server {server.server.id}: its deletion was answered")
            complaints += [f"server {server.server.id}: {what}" for what in _of_server(server)]
    return complaints


def statuses(sessions: Sessions) -> dict[str, str]:
    """Return each server's status."""
    with reading(sessions) as session:
        rows = session.execute(select(Server.id, Server.status))
        return {row.id: row.status for row in rows}


def names_of_hosts(session: Session) -> dict[str, str]:
    """Return the hosts' names by their ids."""
    rows = session.execute(select(Hypervisor.id, Hypervisor.name))
    return {row.id: row.name for row in rows}


def _found(session: Session, machines: Mapping[str, Machine]) -> Iterable[_Found]:
    names = names_of_hosts(session)
    ports = session.scalars(select(Port)).all()
    owner = {port.id: port.server_id for port in ports}
    owner |= {port.mac: port.server_id for port in ports}
    things: dict[str | None, dict[str, list[Thing]]] = defaultdict(lambda: defaultdict(list))
    for machine in machines.values():
        for thing in machine.things():
            key = thing.server_id or owner.get(thing.port_id or thing.mac or "")
            things[key][machine.name].append(thing)
    allocated: dict[str, list[str]] = defaultdict(list)
    for allocation in session.scalars(select(Allocation)):
        allocated[allocation.server_id].append(names[allocation.hypervisor_id])
    counts = Counter(port.server_id for port in ports)
    detached = set(session.scalars(select(Run.server_id).filter_by(pipeline=DETACH_INTERFACE)))
    unsettled_moves = select(Migration).where(Migration.settled_at.is_(None))
    sources = {each.server_id: each.source for each in session.scalars(unsettled_moves)}
    for server in session.scalars(select(Server).order_by(Server.created_at, Server.id)):
        host = names[server.hypervisor_id] if server.hypervisor_id else None
        source = sources.get(server.id)
        former = source if source != host else None
        held, there = allocated[server.id], things[server.id]
        count, gave_up = counts[server.id], server.id in detached
        yield _Found(server, host, former, there, held, count, gave_up)


def _of_server(found: _Found) -> Iterable[str]:
    server = found.server
    if server.task_state is not None:
        yield f"{server.status}, and still {server.task_state}"
    if server.deleted_at is not None or server.status == "DELETED":
        yield from _of_nothing(found)
    elif server.delete_requested_at is not None:
        yield f"to be deleted, and {server.status}"
    elif server.status == "ERROR" and found.host is None:
        yield from _of_nothing(found)
    elif server.status in (*_DOMAINS, *_KEPT, "ERROR"):
        yield from _of_placed(found)
    elif server.status == "SHELVED_OFFLOADED":
        yield from _of_away(found)
    else:
        yield f"{server.status} is no end"
    if server.status == "ERROR" and not (server.fault and server.fault.message):
        yield "ERROR without a reason"


def _of_nothing(found: _Found) -> Iterable[str]:
    for machine, things in found.things.items():
        yield f"{found.server.status}, and {machine} has {_names(things)}"
    if found.allocated:
        yield f"{found.server.status}, and holds room on {found.allocated}"
    if found.ports:
        yield f"{found.server.status}, and has {found.ports} ports"


def _of_away(found: _Found) -> Iterable[str]:
    for machine, things in found.things.items():
        yield f"is in its image, and {machine} has {_names(things)}"
    if found.host or found.allocated:
        yield f"is in its image, and holds room on {found.host or found.allocated}"
    if not found.ports or found.server.shelved_image_id is None:
        yield "is in its image, and has no port or no image"


def _of_placed(found: _Found) -> Iterable[str]:
    for machine, things in found.things.items():
        if machine not in (found.host, found.former_host):
            yield f"is on {found.host}, and {machine} has {_names(things)}"
    places = [place for place in (found.host, found.former_host) if place]
    if sorted(found.allocated) != sorted(places):
        yield f"is on {found.host}, and holds room on {found.allocated}"
    if not found.ports and not found.gave_ports_up:
        yield f"is on {found.host}, and has no port"
    here = found.things.get(found.host or "", [])
    states = [thing.state for thing in here if thing.kind == "domain"]
    status = found.server.status
    power = _BY_POWER.get(found.server.power_state)
    wanted = power if status in _KEPT else _DOMAINS.get(status)
    if wanted is not None and states != [wanted]:
        yield f"{status} (power {found.server.power_state}), and its domain is {states}"
    if any(thing.kind == "snapshot" for thing in here):
        yield f"has a copy that is of no use: {_names(here)}"
    if any(thing.quarantined for thing in here):
        yield f"is in quarantine: {_names(here)}"


def _of_resizes(
    session: Session, machines: Mapping[str, Machine], found: list[_Found]
) -> Iterable[str]:
    """Who waits for a word has its way back, nobody else has; each has the size that it is shown
    with."""
    resized = set(
        session.scalars(select(Migration.server_id).where(Migration.settled_at.is_(None)))
    )
    for each in found:
        server_id, status, host = each.server.id, each.server.status, each.host
        if (status == "VERIFY_RESIZE") > (server_id in resized):
            yield f"server {server_id}: {status}, and it cannot be reverted"
        if host is None or status not in (*_DOMAINS, *_KEPT):
            continue
        fake = machines[host].fake
        here = each.former_host is None
        if fake.keeps_disks(server_id) != (here and status == "VERIFY_RESIZE"):
            yield f"server {server_id}: {status}, and a way back is the reverse"
        if not here and machines[each.former_host or ""].fake.find(server_id) is None:
            yield f"server {server_id}: {status}, and it is not on {each.former_host} any more"
        things = [thing for thing in fake.survey() if thing.kind == "domain"]
        if server_id not in {thing.server_id for thing in things}:
            continue
        there = fake.spec_of(server_id).machine.memory_mib
        if there != session.get_one(Server, server_id).memory_mib:
            yield f"server {server_id}: {status}, and its domain has {there} MiB"


def _of_runs(session: Session) -> Iterable[str]:
    for run in session.scalars(select(Run).where(Run.state == "running")):
        yield f"run {run.id} ({run.pipeline} {run.attempt}) is open"
    ended = select(Run, Attempt).join(Attempt, Attempt.run_id == Run.id)
    for run, attempt in session.execute(ended.where(Attempt.state == "running")):
        if run.state != "running" or attempt.number != run.attempt:
            yield f"attempt {attempt.number} of run {run.id} is open"
    open_stages = (
        select(Stage)
        .join(Run, Run.id == Stage.run_id)
        .where(Run.state != "running", Stage.state.in_(("waiting", "queued", "running")))
    )
    for stage in session.scalars(open_stages):
        yield f"stage {stage.name} of attempt {stage.attempt} of run {stage.run_id} is open"


def _of_hosts(session: Session) -> Iterable[str]:
    for host in session.scalars(select(Hypervisor)):
        if host.lost_at or host.deaf_since:
            yield f"{host.name} is lost or deaf"
        held = session.scalars(select(Allocation).filter_by(hypervisor_id=host.id)).all()
        for what in ("vcpus", "memory_mib", "disk_gib"):
            total = sum(getattr(allocation, what) for allocation in held)
            if getattr(host, f"{what}_used") != total:
                yield f"{host.name}: {what}_used is {getattr(host, f'{what}_used')}, not {total}"


def _of_orphans(machines: Mapping[str, Machine], found: list[_Found]) -> Iterable[str]:
    owned = {
        (machine, thing.kind, thing.name)
        for server in found
        for machine, things in server.things.items()
        for thing in things
    }
    for machine in machines.values():
        for thing in machine.things():
            if (machine.name, thing.kind, thing.name) not in owned:
                yield f"{machine.name} has {thing.kind} {thing.name}, which is nobody's"


def _names(things: Iterable[Thing]) -> str:
    return ", ".join(f"{thing.kind} {thing.name}" for thing in things)
