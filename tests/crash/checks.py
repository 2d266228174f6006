"""What must be true after a fault: the server is what its owner was promised, its run tells what
happened, and nothing that nobody owns is left anywhere."""

import json
from typing import Any

from sqlalchemy import select

from app.db.models import Allocation, Attempt, Base, Hypervisor, Image, Port, Run, Server, Stage
from app.db.session import Sessions, reading
from app.runs.actions import ACTIVE, RESIZED, State
from tests.crash.lane import HOSTS, Lane
from tests.processes import wait_until

_MODELS: tuple[type[Base], ...] = (Run, Attempt, Stage, Server, Allocation, Port)

#: How an attempt that was not the last one may have ended.
_WENT_ON = {"resumed", "failed"}


#: status -> the state of the domain that goes with it
_DOMAINS = {
    "ACTIVE": "running",
    "SHUTOFF": "shutoff",
    "PAUSED": "paused",
    "SUSPENDED": "shutoff",
    "VERIFY_RESIZE": "running",
}


def wrong_with_active(lane: Lane, server_id: str) -> list[str]:
    """Return what is wrong with a server that is to be ACTIVE."""
    return wrong_with_placed(lane, server_id, ACTIVE)


def wrong_with_placed(lane: Lane, server_id: str, wanted: State) -> list[str]:
    """Return what is wrong with a server that is to be in a state: its domain is so on one host,
    the one that its row names, and nothing of it is on another one."""
    named, found = _wrong_with_row(lane, server_id, wanted)
    here, elsewhere = [], []
    for name, things in lane.things().items():
        own = [thing for thing in things if thing.server_id == server_id]
        here += [(name, thing.state) for thing in own if thing.kind == "domain"]
        elsewhere += [f"{name}: {thing.kind}" for thing in own if name != named]
    if here != [(named, _DOMAINS[wanted.status])]:
        found.append(f"its row names {named}, its domain is {here}")
    return found + [f"left on another host: {what}" for what in elsewhere]


def wrong_with_moved(lane: Lane, server_id: str, left: str) -> list[str]:
    """Return what is wrong with a server that has left a host and may come back: it runs elsewhere,
    where its row says, and its way back is there. Nothing is left of how its disks travelled."""
    named, found = _wrong_with_row(lane, server_id, RESIZED)
    domains = {
        (name, thing.state)
        for name, things in lane.things().items()
        for thing in things
        if (thing.server_id, thing.kind) == (server_id, "domain")
    }
    if named == left or domains != {(named, "running"), (left, "shutoff")}:
        found.append(f"it left {left}, its row names {named}, its domains are {domains}")
    with reading(lane.plane.sessions) as session:
        images = session.scalars(select(Image).where(Image.hidden.is_(True))).all()
        return found + [f"image {i.name}: {i.status}" for i in images if i.status == "active"]


def _wrong_with_row(lane: Lane, server_id: str, wanted: State) -> tuple[str | None, list[str]]:
    """Return the host that the server's row names, and what is wrong with the state there."""
    server = lane.plane.server(server_id)
    with reading(lane.plane.sessions) as session:
        host = session.get(Hypervisor, server.hypervisor_id) if server.hypervisor_id else None
        named = host.name if host else None
    shown = (server.status, server.vm_state, server.task_state)
    if shown == (wanted.status, wanted.vm_state, None):
        return named, []
    return named, [f"it is {server.status} ({server.vm_state}, {server.task_state})"]


def wrong_with_story(lane: Lane, run: Run) -> list[str]:
    """Return what is wrong with what a run's attempts tell: each that was not the last says why it
    ended, and the last one ended as the run did."""
    with reading(lane.plane.sessions) as session:
        query = select(Attempt).where(Attempt.run_id == run.id).order_by(Attempt.number)
        attempts = list(session.scalars(query))
        run = session.get_one(Run, run.id)
    found = [
        f"attempt {attempt.number} of {run.pipeline} ended {attempt.state} ({attempt.reason_code})"
        for attempt in attempts[:-1]
        if attempt.state not in _WENT_ON or not attempt.reason_code or not attempt.reason
    ]
    if attempts[-1].state != run.state or attempts[-1].number != run.attempt:
        found.append(f"its last attempt is {attempts[-1].state}, the run is {run.state}")
    return found


def left_over(lane: Lane) -> list[str]:
    """Return what is left in a lane that has no server: rows, claims, addresses, things on hosts,
    files of a journal that are no marks, messages."""
    return [
        *rows_left(lane.plane.sessions),
        *(
            f"{host}: {thing.kind} {thing.name}"
            for host, things in lane.things().items()
            for thing in things
        ),
        *_journals(lane),
        *(f"message {task}" for task in (*lane.box.waiting(), *lane.box.unacknowledged())),
    ]


def rows_left(sessions: Sessions) -> list[str]:
    """Return the rows that are left in a database whose servers are all deleted."""
    with reading(sessions) as session:
        found = [f"open {run.pipeline}" for run in session.scalars(select(Run)) if _open(run)]
        found += [f"allocation of {a.server_id}" for a in session.scalars(select(Allocation))]
        found += [f"port {p.mac} of {p.server_id}" for p in session.scalars(select(Port))]
        for host in session.scalars(select(Hypervisor)):
            used = (host.vcpus_used, host.memory_mib_used, host.disk_gib_used)
            found += [f"{host.name}: used {used}"] if any(used) else []
        for server in session.scalars(select(Server).where(Server.deleted_at.is_(None))):
            found.append(f"server {server.id} ({server.status})")
        ended = select(Run.id).where(Run.state != "running")
        attempts = select(Attempt).where(Attempt.state == "running", Attempt.run_id.in_(ended))
        found += [f"attempt {a.number} at work" for a in session.scalars(attempts)]
        stages = select(Stage).where(
            Stage.state.in_(("waiting", "queued", "running")), Stage.run_id.in_(ended)
        )
        found += [f"stage {s.name} {s.state}" for s in session.scalars(stages)]
    return found


def _open(run: Run) -> bool:
    return run.state == "running"


def _journals(lane: Lane) -> list[str]:
    """A journal keeps one mark a server: that it was torn down, or what of it was unwound."""
    found = []
    for host in HOSTS:
        for path in (lane.state(host) / "journal").iterdir():
            entry = json.loads(path.read_text()) if path.suffix == ".json" else {}
            if not (entry.get("torn_down_by") or entry.get("barred")):
                found.append(f"{host}: journal {path.name}: {entry}")
    return found


def calm(lane: Lane, limit_s: float = 15.0) -> None:
    """Wait until no message of a run is waiting or in anybody's hands. Raises TimeoutError."""
    quiet = 0

    def is_quiet() -> bool:
        nonlocal quiet
        busy = lane.box.waiting() or lane.box.unacknowledged()
        quiet = 0 if busy else quiet + 1
        return quiet > 3

    wait_until(is_quiet, "the end of all messages", limit_s)


def deliver_what_was_lost(lane: Lane) -> None:
    """Hand out again what dead workers had taken, as Redis' clients do half an hour later, until
    there is nothing of it."""
    for _ in range(20):
        if not lane.box.hand_out_again():
            break
        wait_until(lambda: not lane.box.waiting(), "what is handed out again to be taken", 10)
    calm(lane)


def snapshot(lane: Lane) -> dict[str, list[str]]:
    """Return all that a message could change: rows that tell of servers and runs, and the hosts."""
    found = rows(lane.plane.sessions)
    for host, things in lane.things().items():
        found[host] = sorted(map(repr, things))
    return found


def rows(sessions: Sessions) -> dict[str, list[str]]:
    """Return what the database tells of servers and runs, and how much of each host is used."""
    with reading(sessions) as session:
        found = {
            model.__tablename__: sorted(repr(_facts(row)) for row in session.scalars(select(model)))
            for model in _MODELS
        }
        used = select(
            Hypervisor.name,
            Hypervisor.vcpus_used,
            Hypervisor.memory_mib_used,
            Hypervisor.disk_gib_used,
        )
        found["used"] = sorted(map(repr, session.execute(used)))
    return found


def _facts(row: Any) -> dict[str, str]:
    names = set(row.__table__.columns.keys()) - {"updated_at"}
    if isinstance(row, Stage):
        # Of a stage that a later one has proved to be done, a late report may still tell the rest.
        names = {"run_id", "attempt", "name", "state", "reason_code"}
    return {name: repr(getattr(row, name)) for name in sorted(names)}
