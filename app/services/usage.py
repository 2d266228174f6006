"""How long projects' servers were up within a span of time, and what they were: for bills."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.db.models.base import now
from app.db.repo import usage
from app.db.repo.paging import Page
from app.db.repo.usage import UsedServer
from app.db.session import reading
from app.services.context import Caller, Context
from tasks.errors import RequestError

#: What is told without a `start`: the last four weeks, as in Nova.
SPAN = timedelta(weeks=4)


@dataclass(frozen=True)
class ServerUsage:
    """A server, and how many hours of the span it was up."""

    server: UsedServer
    hours: float
    #: Seconds from its launch until now, or until it was deleted.
    uptime_s: int


@dataclass(frozen=True)
class ProjectUsage:
    """A project's servers within the span, and what they come to in hours."""

    project_id: str
    start: datetime
    stop: datetime
    servers: tuple[ServerUsage, ...]

    @property
    def hours(self) -> float:
        """Servers by hours."""
        return sum(one.hours for one in self.servers)

    @property
    def memory_mib_hours(self) -> float:
        """MiB of memory by hours."""
        return sum(one.hours * one.server.memory_mib for one in self.servers)

    @property
    def vcpu_hours(self) -> float:
        """Virtual CPUs by hours."""
        return sum(one.hours * one.server.vcpus for one in self.servers)

    @property
    def disk_gib_hours(self) -> float:
        """GiB of disk by hours."""
        return sum(one.hours * one.server.disk_gib for one in self.servers)


@dataclass(frozen=True)
class Wanted:
    """Of which span; by default of the last four weeks. `part`: of which of its servers, counted
    over all projects; None is all."""

    start: datetime | None = None
    stop: datetime | None = None
    part: Page | None = None


def listed(context: Context, wanted: Wanted) -> list[ProjectUsage]:
    """Return the usage of every project that has some. Raises RequestError."""
    found = _used(context, wanted, None)
    by_project: dict[str, list[ServerUsage]] = {}
    for one in found.servers:
        by_project.setdefault(one.server.project_id, []).append(one)
    return [
        ProjectUsage(project_id, found.start, found.stop, tuple(servers))
        for project_id, servers in by_project.items()
    ]


def get(context: Context, caller: Caller, project_id: str, wanted: Wanted) -> ProjectUsage:
    """Return a project's usage; there may be none. Raises Forbidden for another project's,
    RequestError."""
    if project_id != caller.project_id:
        caller.check("compute:usage:show:others")
    return _used(context, wanted, project_id)


def _used(context: Context, wanted: Wanted, project_id: str | None) -> ProjectUsage:
    moment = now()
    stop = wanted.stop or moment
    start = wanted.start or stop - SPAN
    if start >= stop:
        raise RequestError("Invalid start time. The start time cannot occur after the end time.")
    with reading(context.sessions) as session:
        rows = usage.servers_between(session, start, stop, project_id, wanted.part)
    return ProjectUsage(project_id or "", start, stop, _spans(rows, start, stop, moment))


def _spans(
    rows: Sequence[UsedServer], start: datetime, stop: datetime, moment: datetime
) -> tuple[ServerUsage, ...]:
    found = []
    for row in rows:
        # What is to come counts for nobody yet.
        end = min(row.deleted_at or moment, moment)
        up = min(end, stop) - max(row.launched_at, start)
        hours = max(up, timedelta()) / timedelta(hours=1)
        found.append(ServerUsage(row, hours, int((end - row.launched_at).total_seconds())))
    return tuple(found)
