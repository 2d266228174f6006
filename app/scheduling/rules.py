"""The rules that a host must pass, each written once, and the order of those that pass.

A rule is a predicate over the hypervisors table. The same predicate picks hosts, guards the claim
and counts refusals, so what is said about a refusal is what was decided.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, select, true

from app.db.models import AggregateHost, Hypervisor
from app.db.models.base import now
from config.settings import ControlSettings

_GIB = 1024**3


@dataclass(frozen=True)
class Ask:
    """What a server needs of a host, and how far a host may be promised."""

    #: Those that it shares, or those that it has to itself: the other number is 0.
    vcpus: int
    memory_mib: int
    #: Root, ephemeral and swap disk together.
    disk_gib: int
    alive_since: datetime
    cpu_overcommit: float
    memory_overcommit: float
    disk_overcommit: float
    reserved_memory_mib: int
    dedicated_vcpus: int = 0
    uefi: bool = False
    vif_limits: bool = False
    #: Names of the physical networks that it must have a bridge for.
    physical_networks: tuple[str, ...] = ()
    #: Names of hosts that this server was tried on without luck.
    tried: tuple[str, ...] = ()
    #: The name of the host that it is to move away from; empty: none.
    leaving: str = ""
    #: Ids of the hosts that it may only be on; none: on any.
    keep_to: tuple[str, ...] | None = None
    #: Ids of hosts that it must not be on.
    keep_from: tuple[str, ...] = ()
    #: The availability zone that it is to be in; empty: any.
    zone: str = ""
    #: The zone of hosts whose aggregates give them none.
    default_zone: str = "nova"
    #: The name of the host that an administrator has asked for; empty: any. It may be disabled.
    host: str = ""
    #: For each thing that the flavor asks of a host's aggregates, the ids of those that have it.
    in_aggregates: tuple[tuple[str, ...], ...] = ()
    #: Ids of the aggregates whose hosts are kept for some projects, and of those among them whose
    #: projects include the server's.
    kept_aggregates: tuple[str, ...] = ()
    own_aggregates: tuple[str, ...] = ()
    #: Ids of hosts that are better than others by so much, or worse if it is negative, before all
    #: else.
    company: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Rule:
    """One condition. `refusal` completes "N hosts ..."."""

    name: str
    passes: Callable[[Ask], ColumnElement[bool]]
    refusal: Callable[[Ask], str]


def alive_since(settings: ControlSettings) -> datetime:
    """Return the moment since which a host must have been heard of to count as alive."""
    return now() - timedelta(seconds=settings.host_silence_limit_s)


def vcpu_room(ask: Ask) -> ColumnElement[Any]:
    """Virtual CPUs that may still be promised."""
    return Hypervisor.vcpus * ask.cpu_overcommit - Hypervisor.vcpus_used


def memory_room(ask: Ask) -> ColumnElement[Any]:
    """MiB of memory that may still be promised."""
    capacity = (Hypervisor.memory_mib - ask.reserved_memory_mib) * ask.memory_overcommit
    return capacity - Hypervisor.memory_mib_used


def disk_room(ask: Ask) -> ColumnElement[Any]:
    """GiB of disk that may still be promised: what cached images take up is not, whatever the
    overcommitment."""
    cached = Hypervisor.image_cache_bytes / _GIB
    return Hypervisor.disk_gib * ask.disk_overcommit - cached - Hypervisor.disk_gib_used


def dedicated_room() -> ColumnElement[Any]:
    """Processors that may still be given away: never more than there are."""
    return Hypervisor.dedicated_vcpus - Hypervisor.dedicated_vcpus_used


def _has_bridge(physical_network: str) -> ColumnElement[bool]:
    """Names of physical networks are plain words (app.api.network.networks): in quotes they are
    found in the text of a list's JSON, on any database."""
    names = cast(Hypervisor.physical_networks, String)
    return names.contains(f'"{physical_network}"', autoescape=True)


def _in_zone(ask: Ask) -> ColumnElement[bool]:
    if not ask.zone:
        return true()
    return func.coalesce(Hypervisor.availability_zone, ask.default_zone) == ask.zone


def _in_one_of(aggregate_ids: Sequence[str]) -> ColumnElement[bool]:
    members = select(AggregateHost.hypervisor_id)
    return Hypervisor.id.in_(members.where(AggregateHost.aggregate_id.in_(aggregate_ids)))


def _is_open(ask: Ask) -> ColumnElement[bool]:
    """As in Nova, a project whose own hosts are kept for it may be on all others' too."""
    if not ask.kept_aggregates:
        return true()
    return ~_in_one_of(ask.kept_aggregates) | _in_one_of(ask.own_aggregates)


RULES: tuple[Rule, ...] = (
    Rule(
        "zone",
        _in_zone,
        lambda ask: f"outside availability zone {ask.zone}",
    ),
    Rule(
        "host",
        lambda ask: Hypervisor.name == ask.host if ask.host else true(),
        lambda _: "not the one that is asked for",
    ),
    Rule(
        "enabled",
        lambda ask: true() if ask.host else Hypervisor.enabled.is_(True),
        lambda _: "disabled",
    ),
    Rule(
        "elsewhere",
        lambda ask: Hypervisor.name != ask.leaving if ask.leaving else true(),
        lambda _: "where it is",
    ),
    Rule("not_forced", lambda _: Hypervisor.forced_down.is_(False), lambda _: "forced down"),
    Rule(
        "alive",
        lambda ask: Hypervisor.last_seen_at >= ask.alive_since,
        lambda _: "not heard of lately",
    ),
    Rule(
        "taken_back",
        lambda _: Hypervisor.lost_at.is_(None),
        lambda _: "back, but not yet looked through",
    ),
    Rule("hears", lambda _: Hypervisor.deaf_since.is_(None), lambda _: "taking no work"),
    Rule(
        "untried",
        lambda ask: Hypervisor.name.not_in(ask.tried),
        lambda _: "tried before without luck",
    ),
    Rule(
        "affinity",
        lambda ask: true() if ask.keep_to is None else Hypervisor.id.in_(ask.keep_to),
        lambda _: "without the servers that it is to be with",
    ),
    Rule(
        "anti_affinity",
        lambda ask: Hypervisor.id.not_in(ask.keep_from),
        lambda _: "with servers that it is to be apart from",
    ),
    Rule(
        "aggregate_extra_specs",
        lambda ask: and_(true(), *(_in_one_of(ids) for ids in ask.in_aggregates)),
        lambda _: "outside the aggregates that the flavor asks for",
    ),
    Rule("tenant_isolation", _is_open, lambda _: "kept for other projects"),
    Rule(
        "uefi",
        lambda ask: Hypervisor.uefi.is_(True) if ask.uefi else true(),
        lambda _: "without UEFI firmware",
    ),
    Rule(
        "vif_limits",
        lambda ask: Hypervisor.vif_limits.is_(True) if ask.vif_limits else true(),
        lambda _: "whose kernel cannot hold interfaces to a rate",
    ),
    Rule(
        "physical_networks",
        lambda ask: and_(true(), *(_has_bridge(name) for name in ask.physical_networks)),
        lambda _: "without the physical network that is asked for",
    ),
    Rule(
        "dedicated_vcpus",
        lambda ask: dedicated_room() >= ask.dedicated_vcpus if ask.dedicated_vcpus else true(),
        lambda ask: f"without {ask.dedicated_vcpus} processors to give away",
    ),
    Rule(
        "vcpus",
        # Who asks for none is not kept out by those who have too many.
        lambda ask: vcpu_room(ask) >= ask.vcpus if ask.vcpus else true(),
        lambda ask: f"without room for {ask.vcpus} vCPUs",
    ),
    Rule(
        "memory",
        lambda ask: memory_room(ask) >= ask.memory_mib if ask.memory_mib else true(),
        lambda ask: f"without room for {ask.memory_mib} MiB of memory",
    ),
    Rule(
        "disk",
        lambda ask: disk_room(ask) >= ask.disk_gib if ask.disk_gib else true(),
        lambda ask: f"without room for {ask.disk_gib} GiB of disk",
    ),
)


def order(ask: Ask) -> list[ColumnElement[Any]]:
    """Best host first: by its company, then the most memory left, then the most CPUs, then by name
    so that equal hosts are taken in a stable order. Spreading leaves each guest the most of its
    host."""
    by_room: list[ColumnElement[Any]] = [
        memory_room(ask).desc(),
        vcpu_room(ask).desc(),
        Hypervisor.name.asc(),
    ]
    if not ask.company:
        return by_room
    return [case(dict(ask.company), value=Hypervisor.id, else_=0).desc(), *by_room]


def explain(refused: dict[str, int], ask: Ask) -> str:
    """Say why no host was found, in counts: an owner is not told the names of hosts."""
    total = sum(refused.values())
    if not total:
        return "No valid host was found: no hypervisor is registered."
    parts = [
        f"{refused[rule.name]} {rule.refusal(ask)}" for rule in RULES if refused.get(rule.name)
    ]
    if refused.get(""):
        parts.append(f"{refused['']} taken by others at the same moment")
    return f"No valid host was found among {total}: {', '.join(parts)}."
