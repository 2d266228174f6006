"""What a create would do, without doing it: written, placed and taken back in one transaction, so
that what is planned is decided by the very code that would decide it.

How its domains would be described their hosts are asked after that, for operators.

Only while it lasts does the plan hold what a create would hold: the project's quota and the room.
"""

import time
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.db.models import Image, Port, Run, Server
from app.db.models.base import new_id
from app.db.repo import claims
from app.db.session import trying
from app.runs.build_spec import outline
from app.runs.envelope import job_of
from app.scheduling.rules import RULES
from app.services import consoles, new_servers, placement
from app.services.context import Caller, Context
from app.services.new_servers import NewServer
from app.services.questions import answer_to
from app.services.security_groups import ensure_default
from app.services.server_views import host_id
from config.settings import ControlSettings
from tasks.errors import NoFreeAddress, NoValidHost
from tasks.messages import DescribeDomain
from tasks.pipelines import CREATE, Stage, stages_of


@dataclass(frozen=True)
class PlannedAddress:
    """An address that a server would get; at its create another one may be the next."""

    network_id: str
    subnet_id: str
    address: str


@dataclass(frozen=True)
class PlannedServer:
    """Where a server would go, or why it would go nowhere. `host` and how its domain would be
    described, or why that is not known, are for operators."""

    name: str
    host: str | None
    host_id: str
    addresses: tuple[PlannedAddress, ...]
    reason: str | None
    domain_xml: str | None = None
    domain_xml_reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The hosts that one rule refuses, by name; for owners only how many."""

    rule: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class PlanView:
    """What a create would do. The verdicts are on the first server, as the hosts are now."""

    servers: tuple[PlannedServer, ...]
    hosts: int
    verdicts: tuple[Verdict, ...]
    stages: tuple[Stage, ...]


def plan(context: Context, caller: Caller, new: NewServer) -> PlanView:
    """Return what `new_servers.create` would do, and write nothing.

    Raises what it raises for a request that is refused: RequestError, ImageUnusable, Conflict,
    QuotaExceeded.
    """
    with trying(context.sessions) as session:
        ensure_default(session, caller.project_id)
        runs = new_servers.write(session, context, caller, new)
        session.flush()
        refused = _verdicts(session, context.settings, runs[0])
        servers = [_placed(session, context.settings, run) for run in runs]
        # Of an owner's plan no host hears.
        questions = _questions(session, context.settings, runs, servers) if caller.is_admin else []
    if questions:
        servers = _described(context, servers, questions)
    return PlanView(
        servers=tuple(servers),
        hosts=len(refused),
        verdicts=tuple(
            Verdict(rule.name, tuple(host for host, by in refused.items() if rule.name in by))
            for rule in RULES
        ),
        stages=stages_of(CREATE),
    )


def _verdicts(session: Session, settings: ControlSettings, run: Run) -> dict[str, list[str]]:
    server = session.get_one(Server, run.server_id)
    ask = placement.ask_of(session, settings, run, server)
    return claims.verdicts(session, [(rule.name, rule.passes(ask)) for rule in RULES])


def _placed(session: Session, settings: ControlSettings, run: Run) -> PlannedServer:
    server = session.get_one(Server, run.server_id)
    host, ports, reason = None, list[Port](), None
    try:
        claimed, ports = placement.take_place(
            session, settings, job_of(session, run, server), run, server
        )
        host = claimed.host
    except (NoValidHost, NoFreeAddress) as refusal:
        reason = refusal.public
    return PlannedServer(
        name=server.name,
        host=host,
        host_id=host_id(server.project_id, host),
        addresses=tuple(
            PlannedAddress(port.network_id, held.subnet_id, held.address)
            for port in ports
            for held in port.addresses
        ),
        reason=reason,
    )


def _questions(
    session: Session, settings: ControlSettings, runs: list[Run], servers: list[PlannedServer]
) -> list[DescribeDomain | None]:
    """Return what each server's host is asked. It holds nothing of what the guest is told."""
    deadline = time.time() + consoles.PATIENCE_S
    return [
        _question(session, settings, run, server.host, deadline) if server.host else None
        for run, server in zip(runs, servers, strict=True)
    ]


def _question(
    session: Session, settings: ControlSettings, run: Run, host: str, deadline: float
) -> DescribeDomain:
    server = session.get_one(Server, run.server_id)
    return DescribeDomain.parse(
        {
            "host": host,
            "question": new_id(),
            "deadline": deadline,
            "job": job_of(session, run, server),
            "outline": outline(session, run, settings),
            "image_format": session.get_one(Image, server.disk_image_id).disk_format,
        }
    )


def _described(
    context: Context, servers: list[PlannedServer], questions: list[DescribeDomain | None]
) -> list[PlannedServer]:
    """Ask all hosts, and only then wait for them: for all together as long as for one."""
    for question in questions:
        if question is not None:
            context.publisher.describe_domain(question)
    return [
        _with_answer(context, server, question)
        for server, question in zip(servers, questions, strict=True)
    ]


def _with_answer(
    context: Context, server: PlannedServer, question: DescribeDomain | None
) -> PlannedServer:
    if question is None:
        return replace(server, domain_xml_reason="The server would be on no host.")
    answer = answer_to(context, question)
    if answer is None:
        silent = f"The host did not answer within {consoles.PATIENCE_S:.0f} seconds."
        return replace(server, domain_xml_reason=silent)
    return replace(server, domain_xml=answer.text or None, domain_xml_reason=answer.refused or None)
