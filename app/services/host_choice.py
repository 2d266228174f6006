"""Where a create may go by its owner's words and by the hosts' aggregates: `ZONE`, for
administrators `ZONE:HOST` too, what the flavor asks of aggregates, and for whom hosts are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.repo import aggregates, hypervisors
from app.scheduling.aggregate_specs import asked, has, kept_for
from app.services.context import Caller, Context
from tasks.errors import RequestError

#: Where the request spec's hints keep the host that was asked for.
HOST = "host"


@dataclass(frozen=True)
class Choice:
    """The zone that is asked for (empty: any), and the host (empty: any)."""

    zone: str = ""
    host: str = ""

    def kept(self) -> dict[str, str]:
        """Return what the request spec's hints keep of it."""
        return {HOST: self.host} if self.host else {}


def read_choice(
    session: Session, context: Context, caller: Caller, availability_zone: str | None
) -> Choice:
    """Return what `availability_zone` asks for: a zone, or for administrators `ZONE:HOST` or
    `ZONE:HOST:NODE`, where a node is its host. Raises RequestError, Forbidden."""
    zone, *named = (availability_zone or "").split(":")
    if len(named) > 2 or (len(named) == 2 and named[1] not in ("", named[0])):
        raise RequestError(
            f"availability_zone: {availability_zone} is not ZONE, ZONE:HOST or ZONE:HOST:NODE with"
            " the host's own node."
        )
    host = named[0] if named else ""
    if host:
        caller.check("compute:servers:create:on_host")
    if host and hypervisors.by_name(session, host) is None:
        raise RequestError(f"availability_zone: compute host {host} could not be found.")
    if host:
        # As in Nova, who names a host means it, whatever its zone.
        return Choice(host=host)
    _check_zone(session, context, zone)
    return Choice(zone=zone)


def _check_zone(session: Session, context: Context, zone: str) -> None:
    default = context.settings.availability_zone
    there = {each or default for each in hypervisors.zones(session)} | {default}
    if zone and zone not in there:
        names = ", ".join(sorted(there))
        raise RequestError(f"availability_zone: {zone} is not available; there is {names}.")


@dataclass(frozen=True)
class WantedAggregates:
    """Ids of aggregates, as app.scheduling.rules.Ask has them."""

    having: tuple[tuple[str, ...], ...]
    kept: tuple[str, ...]
    own: tuple[str, ...]


def wanted_aggregates(
    session: Session, extra_specs: Mapping[str, str], project_id: str
) -> WantedAggregates:
    """Return which aggregates have what a flavor asks for, and which are kept for whom."""
    rows = aggregates.listed(session)
    kept = {row.id: kept_for(row.facts) for row in rows}
    return WantedAggregates(
        having=tuple(
            tuple(row.id for row in rows if has(_facts(row.facts, row.availability_zone), *one))
            for one in asked(extra_specs).items()
        ),
        kept=tuple(number for number, projects in kept.items() if projects is not None),
        own=tuple(number for number, projects in kept.items() if project_id in (projects or ())),
    )


def _facts(facts: Mapping[str, str], zone: str | None) -> dict[str, str]:
    return {**facts, **({"availability_zone": zone} if zone else {})}
