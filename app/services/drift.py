"""Drift: what is on a host and what should be there, compared by each survey, both ways.

What has no owner is reported, put into quarantine after a grace, and removed in the end; the ages
are told by the control plane's clock. Orders are given by level: each survey that shows a thing in
the wrong state has it ordered again. A survey is judged by the rows as they are now, which were
read after it was taken: whatever found its owner meanwhile is owned.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Drift
from app.db.repo import claims, migrations
from app.db.repo import drift as repo
from app.db.repo.drift import Interface, OpenRun, Resident
from app.db.session import Sessions, reading
from app.runs.checkpoint import moment_of
from app.scheduling.rules import alive_since
from app.services import true_status
from app.services.context import Context
from config.settings import ControlSettings
from tasks.messages import DomainChange, DomainState, Survey, Thing, Tidy

log = structlog.get_logger(__name__)

UNOWNED, MISSING = "unowned", "missing"
REPORTED, QUARANTINED, REMOVING = "reported", "quarantined", "removing"
ALLOCATION = "allocation"

#: Seconds within which a host may carry an order out: things may have found an owner by then.
_ORDER_HOLDS_S = 60.0
#: What can be put out of action and kept. Nothing is lost with the other kinds.
KEEPABLE = (
    "domain", "disk", "extra_disk", "config_drive", "nvram", "console_log", "first_boot",
    "snapshot",
)  # fmt: skip
#: What each settled server must have on its host, beside what its ports must have.
_OF_A_SERVER = ("domain", "disk", "config_drive")

#: direction, kind, name: what tells one row of a host from another
Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Host:
    """What the rows say of a host, read after the survey was taken."""

    id: str
    drift: dict[Key, Drift]
    holders: set[str]
    residents: list[Resident]
    open_runs: list[OpenRun]
    interfaces: list[Interface]
    #: Servers that are on their way from here or to here, or may yet come back.
    moving: set[str]

    def owners(self) -> set[str]:
        """Servers that own what carries their id here."""
        there = {server.id for server in self.residents} | self.moving
        return there | {run.server_id for run in self.open_runs}

    def owned_ends(self) -> set[str]:
        """MACs and ids of ports that have an owner here."""
        ends = {end for port in self.interfaces for end in (port.mac.lower(), port.id)}
        for run in self.open_runs:
            ends |= {str(port[key]).lower() for port in run.ports for key in ("mac", "port_id")}
        return ends

    def unheld(self) -> set[str]:
        """Servers that hold room here and have nothing to do with the host."""
        there = {server.id for server in self.residents} | self.moving
        return self.holders - there - {run.server_id for run in self.open_runs if run.placed}


@dataclass(frozen=True)
class _Found:
    """One row's worth of drift, as it is now. Several things can have one name: one in its place,
    and one in quarantine."""

    server_id: str | None
    things: tuple[Thing, ...] = ()


def take_survey(
    sessions: Sessions, settings: ControlSettings, survey: Survey, moment: datetime
) -> Tidy | None:
    """Compare a host's survey with the rows, show true statuses, and return what the host is to
    tidy up now, or None."""
    try:
        with sessions.begin() as session:
            return _judge(session, settings, survey, moment)
    except IntegrityError:
        # Two surveys of one host at once, or the host was forgotten: the next one judges.
        log.info("survey.overtaken", host=survey.host)
        return None


def _judge(
    session: Session, settings: ControlSettings, survey: Survey, moment: datetime
) -> Tidy | None:
    hypervisor_id = repo.host_id(session, survey.host)
    if hypervisor_id is None:
        log.warning("survey.unknown_host", host=survey.host)
        return None
    host = _read(session, hypervisor_id)
    taken_at = moment_of(survey.taken_at)
    settled = [server for server in host.residents if _may_judge(server, taken_at)]
    _follow(session, host, settled, survey, moment)
    found = {**_unowned(host, survey), **_missing(host, settled, survey)}
    states = {key: _aged(row, settings, moment) for key, row in host.drift.items() if key in found}
    _write(session, host, found, states, moment)
    repo.note_surveyed(session, hypervisor_id, moment)
    return _order(survey.host, found, states, moment)


def _read(session: Session, hypervisor_id: str) -> _Host:
    """Owners are read last: what is seen of an effect has its owner written already."""
    rows = repo.rows_of(session, hypervisor_id)
    return _Host(
        id=hypervisor_id,
        drift={(row.direction, row.kind, row.name): row for row in rows},
        holders=repo.holders(session, hypervisor_id),
        open_runs=repo.open_runs(session, hypervisor_id),
        moving=migrations.servers_between(session, hypervisor_id),
        residents=repo.residents(session, hypervisor_id),
        interfaces=repo.interfaces(session, hypervisor_id),
    )


# --- true status ---------------------------------------------------------------------------------


def take_change(sessions: Sessions, change: DomainChange, moment: datetime) -> None:
    """Show at once what became of a server's domain. One that is gone is the next survey's."""
    if change.state is None:
        return
    at = moment_of(change.at)
    with sessions.begin() as session:
        hypervisor_id = repo.host_id(session, change.host)
        if hypervisor_id is None:
            return
        for server, known in repo.lock_residents(session, hypervisor_id, [change.server_id]):
            settled = true_status.is_settled(known, at, true_status.EVENT_AFTER)
            if settled and true_status.differs(known, change.state):
                true_status.show(session, server, change.state, moment)


def _may_judge(server: Resident, taken_at: datetime) -> bool:
    """A look that is older than the server's last change knows nothing of it."""
    unchanged = server.updated_at is None or server.updated_at < taken_at
    return unchanged and true_status.is_settled(server, taken_at, true_status.LOOK_AFTER)


def _follow(
    session: Session, host: _Host, settled: list[Resident], survey: Survey, moment: datetime
) -> None:
    """Show the settled servers as their domains are. Who differs is looked at again under a lock,
    for a delete may have begun."""
    seen: dict[str | None, DomainState | None] = {
        thing.server_id: thing.state for thing in survey.things if thing.kind == "domain"
    }
    others = [s.id for s in settled if true_status.differs(s, seen.get(s.id))]
    if not others:
        return
    taken_at = moment_of(survey.taken_at)
    for server, known in repo.lock_residents(session, host.id, others):
        if _may_judge(known, taken_at) and true_status.differs(known, seen.get(server.id)):
            true_status.show(session, server, seen.get(server.id), moment)


# --- both ways -----------------------------------------------------------------------------------


def _unowned(host: _Host, survey: Survey) -> dict[Key, _Found]:
    """What is there, and nobody's."""
    owners = host.owners() | host.owned_ends()
    things: dict[Key, list[Thing]] = defaultdict(list)
    for thing in survey.things:
        if _carries(thing) not in owners:
            things[(UNOWNED, thing.kind, thing.name)].append(thing)
    found = {key: _Found(each[0].server_id, tuple(each)) for key, each in things.items()}
    rooms = {(UNOWNED, ALLOCATION, server): _Found(server) for server in host.unheld()}
    return {**found, **rooms}


def _missing(host: _Host, settled: Iterable[Resident], survey: Survey) -> dict[Key, _Found]:
    """What settled servers should have, and have not. What is in quarantine is of no use."""
    ids = {server.id for server in settled}
    needed: dict[tuple[str, str], str] = {
        (kind, server): server for server in ids for kind in _OF_A_SERVER
    }
    for port in host.interfaces:
        if port.server_id in ids:
            needed["dhcp_entry", port.mac.lower()] = port.server_id
            needed["filter", port.id] = port.server_id
    there = {(thing.kind, _carries(thing)) for thing in survey.things if not thing.quarantined}
    return {
        (MISSING, kind, name): _Found(server)
        for (kind, name), server in needed.items()
        if (kind, name) not in there
    }


def _carries(thing: Thing) -> str | None:
    """What in its name tells whose it is."""
    if thing.kind == "dhcp_entry":
        return thing.mac and thing.mac.lower()
    return thing.port_id if thing.kind in {"filter", "firewall"} else thing.server_id


def _aged(row: Drift, settings: ControlSettings, moment: datetime) -> str:
    """Return the state of a row that is seen again, so twice at least."""
    due_at = _due_at(row, settings)
    if due_at is None or due_at > moment:
        return row.state
    return QUARANTINED if row.state == REPORTED else REMOVING


def _due_at(row: Drift, settings: ControlSettings) -> datetime | None:
    """Return when the row's state will have lasted long enough; None if it lasts."""
    if row.direction == MISSING or row.state == REMOVING:
        return None
    if row.state == QUARANTINED:
        return row.changed_at + timedelta(seconds=settings.drift_quarantine_s)
    return row.first_seen_at + timedelta(seconds=settings.drift_grace_s)


def _write(
    session: Session,
    host: _Host,
    found: dict[Key, _Found],
    states: dict[Key, str],
    moment: datetime,
) -> None:
    rows = host.drift
    released = {key for key, state in states.items() if key[1] == ALLOCATION and state != REPORTED}
    gone = [key for key in rows if key not in found or key in released]
    repo.remove(session, [rows[key].id for key in gone])
    repo.note_seen(session, [rows[key].id for key in states], moment)
    for state in (QUARANTINED, REMOVING):
        keys = [key for key in states if states[key] == state != rows[key].state]
        _tell(f"drift.{state}", host, [key for key in keys if key not in released])
        repo.put_into(session, [rows[key].id for key in keys], state, moment)
    fresh = [key for key in found if key not in rows]
    session.add_all(_row(host.id, key, found[key].server_id, moment) for key in fresh)
    session.flush()
    _tell("drift.settled", host, [key for key in gone if key not in released])
    _tell("drift.reported", host, fresh)
    _tell("drift.released", host, released)
    for _, _, server_id in sorted(released):
        claims.give_back(session, server_id, host.id)


def _row(hypervisor_id: str, key: Key, server_id: str | None, moment: datetime) -> Drift:
    direction, kind, name = key
    return Drift(
        hypervisor_id=hypervisor_id,
        direction=direction,
        kind=kind,
        name=name,
        server_id=server_id,
        first_seen_at=moment,
        last_seen_at=moment,
        changed_at=moment,
    )


def _tell(event: str, host: _Host, keys: Iterable[Key]) -> None:
    for direction, kind, name in keys:
        log.info(event, hypervisor=host.id, direction=direction, kind=kind, name=name)


def _order(
    name: str, found: dict[Key, _Found], states: dict[Key, str], moment: datetime
) -> Tidy | None:
    """Order what the states ask for and the survey does not show yet."""
    quarantine: list[Thing] = []
    discard: list[Thing] = []
    for key, each in found.items():
        state = states.get(key, REPORTED)
        if state == REMOVING:
            discard += each.things
        elif state == QUARANTINED:
            quarantine += [t for t in each.things if t.kind in KEEPABLE and not t.quarantined]
    if not quarantine and not discard:
        return None
    deadline = moment.timestamp() + _ORDER_HOLDS_S
    return Tidy(host=name, deadline=deadline, quarantine=quarantine, discard=discard)


# --- for operators -------------------------------------------------------------------------------


@dataclass(frozen=True)
class DriftFilter:
    """Which drift is wanted; None is any."""

    host: str | None = None
    server_id: str | None = None
    direction: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class DriftView:
    """One thing that is where it should not be, or is not where it should be, and what is next."""

    host: str
    direction: str
    kind: str
    name: str
    server_id: str | None
    state: str
    first_seen_at: datetime
    last_seen_at: datetime
    next_action: str | None
    next_action_at: datetime | None


@dataclass(frozen=True)
class LookedAt:
    """A host, whether it is heard of, and when it was looked through last: of a silent one, no
    drift means nothing."""

    host: str
    alive: bool
    surveyed_at: datetime | None


@dataclass(frozen=True)
class DriftReport:
    """Drift, the oldest first, and the hosts that it was looked for on."""

    drift: tuple[DriftView, ...]
    hosts: tuple[LookedAt, ...]


def listed(context: Context, wanted: DriftFilter) -> DriftReport:
    """Return the drift that is wanted, of every project."""
    facts = {"server_id": wanted.server_id, "direction": wanted.direction, "kind": wanted.kind}
    given = {name: value for name, value in facts.items() if value is not None}
    since = alive_since(context.settings)
    with reading(context.sessions) as session:
        rows = repo.listed(session, given, wanted.host)
        hosts = repo.hosts(session, wanted.host)
        return DriftReport(
            tuple(_view(row, host, context.settings) for row, host in rows),
            tuple(LookedAt(h.name, h.last_seen_at >= since, h.surveyed_at) for h in hosts),
        )


def _view(row: Drift, host: str, settings: ControlSettings) -> DriftView:
    return DriftView(
        host=host,
        direction=row.direction,
        kind=row.kind,
        name=row.name,
        server_id=row.server_id,
        state=row.state,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        next_action=_next_action(row),
        next_action_at=_next_action_at(row, settings),
    )


def _next_action(row: Drift) -> str | None:
    if row.direction == MISSING:
        return None
    if row.kind == ALLOCATION:
        return "release"
    return "quarantine" if row.state == REPORTED and row.kind in KEEPABLE else "remove"


def _next_action_at(row: Drift, settings: ControlSettings) -> datetime | None:
    """What is being removed was due when it came to that."""
    if row.state == REMOVING:
        return row.changed_at
    due_at = _due_at(row, settings)
    if due_at is not None and row.state == REPORTED and _next_action(row) == "remove":
        # Nothing is done to it for quarantine, but the time passes all the same.
        due_at += timedelta(seconds=settings.drift_quarantine_s)
    return due_at
