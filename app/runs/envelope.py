"""The message that goes on with a run from where its rows say that it stands.

What earlier stages gave is read from their rows, except the output of what chooses a host: it holds
user data and passwords, and is made again from the rows that it was made of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import RequestSpec, Run, Server
from app.db.models import Stage as StageRow
from app.db.models.hypervisor import Hypervisor
from app.db.repo import addresses, migrations, runs
from app.runs import resizes
from app.runs.build_spec import build_spec, outline, rescue_spec, wiring
from app.runs.tickets import upload_url
from app.runs.values import ports_ref
from config.settings import ControlSettings
from tasks.messages import (
    AttemptRef,
    DiskUploads,
    Envelope,
    Grace,
    ImageUpload,
    Job,
    Kept,
    Password,
    PortSpec,
    PortsRef,
    Value,
)
from tasks.pipelines import REBUILDS, REMOVALS, Stage, stage_named, stages_of


@dataclass(frozen=True)
class Chain:
    """The stages still to be run, and the message of the first of them."""

    names: list[str]
    envelope: Envelope


def remaining(session: Session, run: Run, settings: ControlSettings) -> Chain | None:
    """Return what is still to be done of the run; None if nothing is."""
    rows = {row.name: row for row in runs.stages_of(session, run)}
    stages = [stage for stage in stages_of(run.pipeline) if stage.name in rows]
    ended = _ended(stages, rows)
    names = [stage.name for stage in stages[ended:]]
    if not names:
        return None
    server = session.get_one(Server, run.server_id)
    data = _given(session, run, stages[:ended], rows, settings)
    standing = rows[names[0]]
    if standing.output is not None:
        # What the stage itself had found before it was interrupted.
        data[stages[ended].output] = standing.output
    data |= _told(session, run, names, settings)
    return Chain(names, Envelope(job=job_of(session, run, server), data=data))


def job_of(session: Session, run: Run, server: Server) -> Job:
    """Return the fence of the run as it is now."""
    host = session.get_one(Hypervisor, run.hypervisor_id).name if run.hypervisor_id else None
    undoes = None
    if run.undoes_run_id is not None and run.undoes_attempt is not None:
        undoes = AttemptRef(run_id=run.undoes_run_id, attempt=run.undoes_attempt)
    return Job(
        pipeline=run.pipeline,
        run_id=run.id,
        attempt=run.attempt,
        server_id=run.server_id,
        project_id=server.project_id,
        request_id=run.request_id,
        deadline=run.deadline.timestamp(),
        host=host,
        undoes=undoes,
    )


def _told(
    session: Session, run: Run, names: list[str], settings: ControlSettings
) -> dict[str, Any]:
    """Return what no stage gives: what the first ones are told by who sends the chain."""
    given_later = {stage_named(run.pipeline, name).output for name in names}
    told: dict[str, Value] = {
        name: make(session, run, settings)
        for stage, name, make in _INPUTS
        if stage in names and name not in given_later
    }
    if run.pipeline in REMOVALS or not _TAKES_PORTS.isdisjoint(names):
        told["ports"] = _ports(session, run)
    if run.image_id is not None:
        url = upload_url(settings, run.image_id, run.deadline.timestamp())
        told["upload"] = ImageUpload(image_id=run.image_id, url=url)
    given = {name: value.model_dump() for name, value in told.items()}
    if run.pipeline in REBUILDS and "build_resources" in names:
        given["build"] = _build(session, run, settings)
    return given


def _ended(stages: list[Stage], rows: dict[str, StageRow]) -> int:
    """Return how many of the first stages need not be run again."""
    for index, stage in enumerate(stages):
        row = rows[stage.name]
        has_output = row.output is not None or not stage.output or stage.name in _MADE_AGAIN
        if not (row.state == "cancelled" or (row.state == "done" and has_output)):
            return index
    return len(stages)


def _given(
    session: Session,
    run: Run,
    stages: list[Stage],
    rows: dict[str, StageRow],
    settings: ControlSettings,
) -> dict[str, Any]:
    """Return what the message holds after these stages: their outputs, less what was dropped."""
    sources: dict[str, Stage] = {}
    for stage in stages:
        for name in stage.drops:
            sources.pop(name, None)
        if stage.output:
            sources[stage.output] = stage
    return {
        name: _MADE_AGAIN[stage.name](session, run, settings)
        if stage.name in _MADE_AGAIN
        else rows[stage.name].output
        for name, stage in sources.items()
    }


def _shape(session: Session, run: Run, settings: ControlSettings) -> dict[str, Any]:
    return resizes.shape(session, run, settings).model_dump()


def _build(session: Session, run: Run, settings: ControlSettings) -> dict[str, Any]:
    server = session.get_one(Server, run.server_id)
    spec = session.get_one(RequestSpec, server.id)
    ports = addresses.ports_of(session, server.id)
    deadline = run.deadline.timestamp()
    attempt = AttemptRef(run_id=run.id, attempt=run.attempt)
    return build_spec(session, server, spec, ports, settings, deadline, attempt).model_dump()


def _uploads(session: Session, run: Run, settings: ControlSettings) -> DiskUploads:
    migration = migrations.of_run(session, run.id)
    until = run.deadline.timestamp()
    disks = [
        {
            "role": disk["role"],
            "upload": {
                "image_id": disk["image_id"],
                "url": upload_url(settings, disk["image_id"], until),
            },
        }
        for disk in (migration.carried if migration else [])
    ]
    return DiskUploads.parse({"disks": disks})


def _ports(session: Session, run: Run) -> PortsRef:
    if run.ports is not None:
        return PortsRef(ports=[PortSpec.parse(port) for port in run.ports])
    return ports_ref(addresses.ports_of(session, run.server_id))


def _kept(_session: Session, run: Run, _settings: ControlSettings) -> Kept:
    return Kept.parse((run.parameters or {}).get("kept", {}))


def _grace(_session: Session, _run: Run, settings: ControlSettings) -> Grace:
    return Grace(seconds=settings.shutdown_grace_s)


def _password(_session: Session, run: Run, _settings: ControlSettings) -> Password:
    return Password.parse(run.parameters or {})


#: Stages whose output is not kept (app.db.models.run), and what makes it again.
_MADE_AGAIN: dict[str, Callable[[Session, Run, ControlSettings], dict[str, Any]]] = {
    "schedule": _build,
    "rehost": _build,
    "move": _shape,
    "move_back": _shape,
}

#: What takes away a server's interfaces.
_TAKES_PORTS = {"teardown", "clear", "leave"}

#: Stage, what it is told of by that name, and what makes it.
_INPUTS: tuple[tuple[str, str, Callable[[Session, Run, ControlSettings], Value]], ...] = (
    ("clear", "kept", _kept),
    ("shut_down", "grace", _grace),
    ("set_password", "password", _password),
    ("reshape", "shape", resizes.shape),
    ("pack_disks", "uploads", _uploads),
    ("send_disks", "uploads", _uploads),
    ("plug", "wiring", wiring),
    ("rewire", "wiring", wiring),
    ("unplug", "wiring", wiring),
    ("build_rescue", "build", rescue_spec),
    ("restore_domain", "outline", outline),
)
