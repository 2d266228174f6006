"""Every stage run twice, interrupted after each thing that it does and run again, and undone twice:
generated from the table of stages, so that a new stage cannot be forgotten.

Compute stages work on the fake host, control stages on a real database.
"""

import importlib
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.db.models import Image, RequestSpec, Run, Server
from app.db.models.base import now
from app.db.session import Sessions
from app.runs.checkpoint import end
from app.runs.envelope import job_of
from app.runs.sizes import Size
from app.runs.start import (
    Asker,
    begin_offload,
    owe_purge,
    owe_unwind,
    owe_vacate,
    request_delete,
    start_run,
)
from app.services import moving, resizing
from app.services.context import Context
from app.services.moving import Wish
from tasks.control.store import Store
from tasks.messages import (
    AttemptRef,
    BuildSpec,
    DiskUploads,
    Grace,
    ImageUpload,
    Job,
    Kept,
    Outline,
    Password,
    PortsRef,
    Wiring,
)
from tasks.pipelines import (
    ACTIONS,
    CONFIRM_RESIZE,
    CREATE,
    DELETE,
    DISCARD_SNAPSHOT,
    EVACUATE,
    EVACUATE_STOPPED,
    MIGRATE,
    MOVES,
    OFFLOAD,
    PIPELINES,
    PLACING,
    PURGE,
    RESIZE,
    RESIZE_AWAY,
    RESIZES,
    REVERT_RESIZE,
    UNDO_RESIZE,
    UNSHELVE,
    UNWIND,
    VACATE,
    Side,
    Stage,
    stages_of,
)
from tests.crash import checks
from tests.publishers import UnheardPublisher
from tests.rows import (
    World,
    add_flavor,
    add_host,
    add_server,
    caller_of,
    make_settings,
    make_world,
)
from tests.tasks.values import make_build, make_job, make_shape
from workers.hypervisor.fake import FakeHypervisor

ALL = [(pipeline, stage) for pipeline, stages in PIPELINES.items() for stage in stages]
ON_HOST = [(pipeline, stage) for pipeline, stage in ALL if stage.side is Side.COMPUTE]
IN_DATABASE = [(pipeline, stage) for pipeline, stage in ALL if stage.side is Side.CONTROL]

#: More verbs than any stage uses.
MOST_VERBS = 50


class Interrupted(Exception):
    """The worker ended here."""


class Interrupting:
    """A host whose worker ends right after its n-th verb has had its effect."""

    def __init__(self, host: FakeHypervisor, last: int) -> None:
        self._host, self._last = host, last

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._host, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            result = verb(*args, **kwargs)
            self._last -= 1
            if self._last == 0:
                raise Interrupted(name)
            return result

        return called


def name_of(row: tuple[str, Stage]) -> str:
    return f"{row[0]}-{row[1].name}"


def module_of(stage: Stage) -> Any:
    return importlib.import_module(f"tasks.{stage.side}.{stage.name}")


# --- on a host ------------------------------------------------------------------------------------


def removal(pipeline: str) -> Callable[[Job], Job]:
    """Return what makes the job of a removal out of the create's job."""

    def make(created: Job) -> Job:
        undone = AttemptRef(run_id=created.run_id, attempt=created.attempt)
        return make_job(
            pipeline=pipeline,
            server_id=created.server_id,
            undoes=undone if pipeline == UNWIND else None,
        )

    return make


def action(pipeline: str) -> Callable[[Job], Job]:
    """Return what makes the job of an action out of the create's job."""
    return lambda created: make_job(pipeline=pipeline, server_id=created.server_id)


#: For each stage on a host: the job that it runs for, given the create's.
JOBS: dict[tuple[str, str], Callable[[Job], Job]] = {
    **{
        (CREATE, name): lambda job: job
        for name in ("build_resources", "define_domain", "launch", "poll_boot")
    },
    (DELETE, "teardown"): removal(DELETE),
    (UNWIND, "unwind"): removal(UNWIND),
    (PURGE, "teardown"): removal(PURGE),
    (OFFLOAD, "teardown"): removal(OFFLOAD),
    (VACATE, "teardown"): removal(VACATE),
    **{
        (pipeline, stage.name): action(pipeline)
        for pipeline in ACTIONS | RESIZES | {DISCARD_SNAPSHOT}
        for stage in stages_of(pipeline)
        if stage.side is Side.COMPUTE
    },
}


def wiring(build: BuildSpec) -> Wiring:
    """Return what is told of a second interface of the server."""
    [first] = build.ports
    changes = {"port_id": str(uuid.UUID(int=2)), "mac": "fa:16:3e:00:00:02"}
    second = first.model_copy(update=changes)
    return Wiring(
        machine=build.machine,
        networks=build.networks,
        ports=[first, second],
        port=second,
        first_boot=build.first_boot,
    )


#: What a server's way back does on the host that it leaves.
_ELSEWHERE = (REVERT_RESIZE, "teardown")


class Scene:
    """A host on which everything has been done that comes before one stage."""

    def __init__(self, pipeline: str, stage: Stage, created: Job, build: BuildSpec) -> None:
        self.host = FakeHypervisor()
        self.stage, self.job = stage, JOBS[pipeline, stage.name](created)
        self.ports = PortsRef(ports=build.ports)
        self._data: dict[str, Any] = {"build": build}
        for before in stages_of(CREATE):
            if before.name == stage.name and pipeline not in ACTIONS:
                break
            if before.side is Side.COMPUTE:
                self._data[before.output] = self._run(before, created, self.host)
        upload = ImageUpload(image_id=created.run_id, url="http://127.0.0.1:9/")
        outline = Outline(machine=build.machine, ports=build.ports, boot=build.boot)
        self._data |= {"ports": self.ports, "grace": Grace(seconds=60), "kept": Kept()}
        self._data |= {"upload": upload, "outline": outline}
        self._data["password"] = Password(user="root", password="secret")
        self._data["wiring"] = wiring(build)
        self._data["shape"] = make_shape(build, vcpus=2, ephemeral_gib=1)
        disk = {"role": "root", "upload": upload}
        self._data["uploads"] = DiskUploads.parse({"disks": [disk]})
        if pipeline in MOVES:
            carried = {"role": "root", "source": build.image}
            self._data["shape"] = make_shape(build, vcpus=2, carried=[carried])
        if pipeline in RESIZES - MOVES - {RESIZE}:
            self._resize(created)
            self._data["shape"] = make_shape(build)
        is_action = pipeline in (ACTIONS - PLACING) | RESIZES
        for before in stages_of(pipeline) if is_action else ():
            if before.name == stage.name:
                break
            if before.side is Side.CONTROL or (pipeline, before.name) == _ELSEWHERE:
                continue
            given = self._run(before, self.job, self.host)
            if before.output:
                self._data[before.output] = given

    def _resize(self, created: Job) -> None:
        job = action(RESIZE)(created)
        for before in stages_of(RESIZE):
            self._run(before, job, self.host)

    def do(self, host: Any = None) -> None:
        """Run the stage."""
        self._run(self.stage, self.job, host or self.host)

    def undo(self) -> None:
        """Undo the stage, and those before it, as `unwind` does."""
        names = [stage.name for stage in stages_of(CREATE)]
        for stage in reversed(stages_of(CREATE)[: names.index(self.stage.name) + 1]):
            if stage.side is Side.COMPUTE:
                module_of(stage).undo(self.job, self.host, self.ports)

    def things(self) -> list[str]:
        """Return what is on the host."""
        return sorted(map(repr, self.host.survey()))

    def _run(self, stage: Stage, job: Job, host: Any) -> Any:
        module = module_of(stage)
        inputs = importlib.import_module("tasks.runner").inputs_of(module)
        given = {name: self._data[name] for name in inputs if name in self._data}
        return module.do(job, host, **given)


@pytest.mark.parametrize("row", ON_HOST, ids=name_of)
def test_stage_done_twice_gives_what_it_gives_once(row: tuple[str, Stage]) -> None:
    once = Scene(*row, make_job(), make_build())
    once.do()
    first = once.things()

    once.do()

    assert once.things() == first


@pytest.mark.parametrize("row", ON_HOST, ids=name_of)
def test_stage_interrupted_after_each_verb_and_done_again_gives_the_same(
    row: tuple[str, Stage],
) -> None:
    created, build = make_job(), make_build()
    whole = Scene(*row, created, build)
    whole.do()

    for last in range(1, MOST_VERBS):
        scene = Scene(*row, created, build)
        try:
            scene.do(Interrupting(scene.host, last))
        except Interrupted:
            scene.do()
            assert scene.things() == whole.things()
        else:
            assert last > 1, "the stage used no verb at all"
            return
    pytest.fail("the stage did not end")


@pytest.mark.parametrize(
    "row", [row for row in ON_HOST if row[0] == CREATE], ids=lambda row: row[1].name
)
def test_undo_done_twice_after_each_interruption_leaves_nothing(row: tuple[str, Stage]) -> None:
    for last in range(1, MOST_VERBS):
        scene = Scene(*row, make_job(), make_build())
        try:
            scene.do(Interrupting(scene.host, last))
            ended = True
        except Interrupted:
            ended = False
        scene.undo()
        scene.undo()
        assert scene.things() == []
        if ended:
            return
    pytest.fail("the stage did not end")


# --- in the database ------------------------------------------------------------------------------

SETTINGS = make_settings()
ASKER = Asker("req-1", "user")


def placed(sessions: Sessions, world: World) -> str:
    """Write a server, and place it on a host; return its id."""
    add_host(sessions, "h1")
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS)
    module_of(stages_of(CREATE)[1]).do(job_for(sessions, run), store_of(sessions))
    return run.server_id


def to_create(sessions: Sessions, world: World) -> Run:
    add_host(sessions, "h1")
    with sessions.begin() as session:
        return add_server(session, world, SETTINGS)


def to_delete(sessions: Sessions, world: World) -> Run:
    server_id = placed(sessions, world)
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        return request_delete(session, server, asker=ASKER, settings=SETTINGS)[0]


def to_unwind(sessions: Sessions, world: World) -> Run:
    server_id = placed(sessions, world)
    with sessions.begin() as session:
        return owe_unwind(session, created(session, server_id), SETTINGS)


def to_remove(owe: Callable[..., Run], sessions: Sessions, world: World) -> Run:
    server_id = placed(sessions, world)
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        assert server.hypervisor_id is not None
        return owe(session, server, server.hypervisor_id, ASKER, SETTINGS)


def to_settle(pipeline: str, sessions: Sessions, world: World) -> Run:
    server_id = settled(sessions, world)
    context = Context(sessions, SETTINGS, UnheardPublisher())
    resizing.resize(context, caller_of(world), server_id, add_flavor(sessions))
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        run = session.query(Run).filter_by(server_id=server_id, pipeline=RESIZE).one()
        end(session, run, "done", now())
        return start_run(
            session,
            server,
            pipeline,
            asker=ASKER,
            settings=SETTINGS,
            hypervisor_id=server.hypervisor_id,
        )


def settled(sessions: Sessions, world: World) -> str:
    """Write a server that is active on one of two hosts; return its id."""
    server_id = placed(sessions, world)
    add_host(sessions, "h2")
    with sessions.begin() as session:
        end(session, created(session, server_id), "done", now())
        server = session.get_one(Server, server_id)
        server.vm_state, server.task_state = "active", None
    return server_id


def to_move(pipeline: str, sessions: Sessions, world: World) -> Run:
    server_id = settled(sessions, world)
    context = Context(sessions, SETTINGS, UnheardPublisher())
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        size = Size.of_server(server, session.get_one(RequestSpec, server_id))
        wish = Wish("migration", pipeline, size)
        run = moving.begin(session, context, caller_of(world), server, wish)
        for image in session.query(Image).filter(Image.hidden.is_(True)):
            image.status, image.sha256, image.size_bytes = "active", "0" * 64, 1
    return run


def to_move_back(sessions: Sessions, world: World) -> Run:
    run = to_move(MIGRATE, sessions, world)
    moving.move(sessions, SETTINGS, job_for(sessions, run))
    with sessions.begin() as session:
        end(session, session.get_one(Run, run.id), "done", now())
        server = session.get_one(Server, run.server_id)
        return start_run(
            session,
            server,
            REVERT_RESIZE,
            asker=ASKER,
            settings=SETTINGS,
            hypervisor_id=server.hypervisor_id,
        )


def to_let_go(sessions: Sessions, world: World) -> Run:
    server_id = placed(sessions, world)
    with sessions.begin() as session:
        return begin_offload(session, session.get_one(Server, server_id), ASKER, SETTINGS)


def to_unshelve(sessions: Sessions, world: World) -> Run:
    run = to_let_go(sessions, world)
    module_of(stages_of(OFFLOAD)[1]).do(job_for(sessions, run), store_of(sessions))
    with sessions.begin() as session:
        server = session.get_one(Server, run.server_id)
        server.shelved_image_id = server.image_id
        session.get_one(Run, run.id).state = "done"
        return start_run(session, server, UNSHELVE, asker=ASKER, settings=SETTINGS)


#: For each stage in the database: what writes the run that it belongs to.
RUNS: dict[tuple[str, str], Callable[[Sessions, World], Run]] = {
    (CREATE, "validate"): to_create,
    (CREATE, "schedule"): to_create,
    (DELETE, "forget"): to_delete,
    (UNWIND, "conclude"): to_unwind,
    (PURGE, "conclude"): partial(to_remove, owe_purge),
    (VACATE, "conclude"): partial(to_remove, owe_vacate),
    (RESIZE_AWAY, "move"): partial(to_move, RESIZE_AWAY),
    (MIGRATE, "move"): partial(to_move, MIGRATE),
    (EVACUATE, "rehost"): partial(to_move, EVACUATE),
    (EVACUATE_STOPPED, "rehost"): partial(to_move, EVACUATE_STOPPED),
    (REVERT_RESIZE, "move_back"): to_move_back,
    (CONFIRM_RESIZE, "settle"): partial(to_settle, CONFIRM_RESIZE),
    (REVERT_RESIZE, "settle"): partial(to_settle, REVERT_RESIZE),
    (UNDO_RESIZE, "settle"): partial(to_settle, UNDO_RESIZE),
    (OFFLOAD, "let_go"): to_let_go,
    (UNSHELVE, "validate"): to_unshelve,
    (UNSHELVE, "schedule"): to_unshelve,
}


def created(session: Session, server_id: str) -> Run:
    return session.query(Run).filter_by(server_id=server_id, pipeline=CREATE).one()


def job_for(sessions: Sessions, run: Run) -> Job:
    with sessions() as session:
        return job_of(session, run, session.get_one(Server, run.server_id))


def store_of(sessions: Sessions) -> Store:
    return Store(sessions, SETTINGS, UnheardPublisher())


@pytest.mark.parametrize("row", IN_DATABASE, ids=name_of)
def test_stage_in_the_database_done_twice_gives_what_it_gives_once(
    row: tuple[str, Stage], sessions: Sessions
) -> None:
    pipeline, stage = row
    run = RUNS[pipeline, stage.name](sessions, make_world(sessions))
    job, store = job_for(sessions, run), store_of(sessions)
    before = checks.rows(sessions)
    first = module_of(stage).do(job, store)
    once = checks.rows(sessions)

    second = module_of(stage).do(job, store)

    assert second == first
    assert checks.rows(sessions) == once
    assert (once == before) == (stage.name == "validate"), "it had no effect, or one too many"


def test_every_stage_has_an_entry_here() -> None:
    wanted = {(pipeline, stage.name) for pipeline, stage in ALL}

    assert JOBS.keys() | RUNS.keys() == wanted
    assert not JOBS.keys() & RUNS.keys()
