"""Hand a run's chain to the broker, after the commit that wrote the run.

What is sent is read from the rows, so it can be sent again at any time by anybody. A broker that
is down costs nothing but time: the run stays unpublished and the sweeper sends it.
"""

from typing import Protocol

import structlog
from celery import Celery, chain
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session

from app.db.models import Run, Server, Stage
from app.db.models.base import now
from app.db.repo import addresses, runs
from app.db.session import Sessions, reading
from app.runs.messages import ports_ref
from tasks.messages import Envelope, Job, PortsRef
from tasks.pipelines import CREATE, DELETE, UNWIND

log = structlog.get_logger(__name__)


class Publisher(Protocol):
    """Sends what the rows of a run say is to be done."""

    def publish(self, run_id: str) -> None:
        """Send the run's chain. Never raises because of the broker."""
        ...


class CeleryPublisher:
    """The publisher of a running system."""

    def __init__(self, celery: Celery, sessions: Sessions) -> None:
        self._celery, self._sessions = celery, sessions

    def publish(self, run_id: str) -> None:
        """Send the run's chain as one Celery chain, and note that it was sent."""
        with reading(self._sessions) as session:
            run = runs.get(session, run_id)
            if run is None or run.state not in runs.OPEN:
                return
            names = _links(run, runs.stages_of(session, run))
            envelope = _envelope(run, session.get_one(Server, run.server_id), _ports(session, run))
        if names and self._send(names, envelope):
            with self._sessions.begin() as session:
                runs.mark_published(session, run, now())

    def _send(self, names: list[str], envelope: Envelope) -> bool:
        first, *others = names
        links = [self._celery.signature(first, args=(envelope.model_dump(),))]
        links += [self._celery.signature(name) for name in others]
        try:
            chain(*links, app=self._celery).apply_async()
        except (OperationalError, OSError) as error:
            log.warning("run.not_published", run_id=envelope.job.run_id, reason=str(error))
            return False
        return True


def _links(run: Run, stages: list[Stage]) -> list[str]:
    """A create is sent whole: each stage finds what an earlier delivery made, and gives the next
    one its input. What removes goes on where it stood."""
    if run.pipeline == CREATE and run.state == "running":
        return [stage.name for stage in stages]
    return [stage.name for stage in stages if stage.state in ("waiting", "queued", "running")]


def _ports(session: Session, run: Run) -> PortsRef:
    return ports_ref(addresses.ports_of(session, run.server_id))


def _envelope(run: Run, server: Server, ports: PortsRef) -> Envelope:
    removing = run.pipeline == DELETE or run.state == "unwinding"
    job = Job(
        pipeline=UNWIND if run.state == "unwinding" else run.pipeline,
        run_id=run.id,
        attempt=run.attempt,
        server_id=server.id,
        project_id=server.project_id,
        request_id=run.request_id,
        deadline=run.deadline.timestamp(),
        host=server.hypervisor.name if removing and server.hypervisor else None,
    )
    return Envelope(job=job, data={"ports": ports.model_dump()} if removing else {})
