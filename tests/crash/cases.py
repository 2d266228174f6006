"""One case: bring a server to a stage, let one thing go wrong there, see how it ends."""

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import OperationalError

from app.db.models import Run
from app.runs import actions
from tasks.pipelines import (
    ACTIONS,
    CHANGE_PASSWORD,
    CONFIRM_RESIZE,
    CREATE,
    CREATE_BACKUP,
    DELETE,
    DISCARD_SNAPSHOT,
    JOURNEYS,
    MIGRATE,
    OFFLOAD,
    PAUSE,
    PIPELINES,
    PLUGGING,
    PURGE,
    REBUILD,
    REBUILD_STOPPED,
    RESCUE,
    RESIZE,
    RESUME,
    REVERT_RESIZE,
    SHELVE,
    START,
    STOP,
    TRIGGER_CRASH_DUMP,
    UNDO_RESIZE,
    UNPAUSE,
    UNRESCUE,
    UNSHELVE,
    UNSHELVE_HERE,
    UNWIND,
    VACATE,
    Side,
    Stage,
)
from tests.crash import checks
from tests.crash.faults import Fault, Hit
from tests.crash.lane import Lane
from tests.processes import wait_until

#: Those whose stages are another one's too, or as short: the simulation has them all.
_ALIKE = {
    *(START, STOP, PAUSE, UNPAUSE, RESUME),
    *(REBUILD, REBUILD_STOPPED, RESCUE, UNRESCUE, CHANGE_PASSWORD, *PLUGGING),
    TRIGGER_CRASH_DUMP,
    *(CREATE_BACKUP, DISCARD_SNAPSHOT, SHELVE, OFFLOAD, UNSHELVE, UNSHELVE_HERE),
    *(RESIZE, CONFIRM_RESIZE, REVERT_RESIZE, UNDO_RESIZE),
    *(*JOURNEYS, VACATE),
}

#: Stages that only such a pipeline has.
_NEW = {
    (REBUILD, "clear"),
    (RESIZE, "reshape"),
    *((MIGRATE, stage) for stage in ("pack_disks", "send_disks", "leave", "move", "fetch_disks")),
}

#: Every stage of every other pipeline, from the table itself.
ALL_STAGES = [
    (pipeline, stage)
    for pipeline, stages in PIPELINES.items()
    for stage in stages
    if pipeline not in _ALIKE or (pipeline, stage.name) in _NEW
]


#: Under which a test notes its outcome, as a dictionary: workers send it to whoever counts.
PROPERTY = "crash"


@dataclass
class Outcome:
    """How a case ended; one row of what `make faults` counts."""

    group: str
    case: str
    #: Where the fault struck, by the process' own word.
    hit: str = ""
    #: What is wrong with the end state, if anything is.
    lost: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    #: From the fault to the end state.
    recovery_s: float | None = None
    bound_s: float = 0.0
    #: Where the processes' logs are.
    logs: str = ""

    def survived(self) -> bool:
        """Say whether the fault struck, and all was well in time."""
        in_time = self.recovery_s is not None and self.recovery_s <= self.bound_s
        return bool(self.hit) and in_time and not self.lost and not self.leaked

    def check(self) -> None:
        """Raise AssertionError unless all is well."""
        wrong = [f"lost: {what}" for what in self.lost]
        wrong += [f"leaked: {what}" for what in self.leaked]
        assert not wrong, "\n".join([*wrong, self.hit, self.logs])
        assert self.hit, f"the fault never struck: {self.logs}"
        assert self.recovery_s is not None
        assert self.recovery_s <= self.bound_s, f"it took {self.recovery_s:.1f} s: {self.logs}"


@dataclass(frozen=True)
class Case:
    """A fault at a place, and who carries it out."""

    group: str
    pipeline: str
    stage: str
    point: str
    run: "Callable[[Lane, Case, Outcome], None]"
    needs_postgres: bool = False
    #: Seconds from the fault to the end state.
    bound_s: float = 20.0

    @property
    def name(self) -> str:
        """Return the test's id."""
        words = (self.group, self.pipeline, self.stage, self.point)
        return "-".join(word.replace(" ", "_") for word in words if word)

    def side(self) -> Side:
        """Return where the stage runs."""
        return next(s.side for p, s in ALL_STAGES if (p, s.name) == (self.pipeline, self.stage))


def carry_out(lane: Lane, case: Case) -> Outcome:
    """Run a case; whatever goes wrong in it is told by the outcome."""
    outcome = Outcome(case.group, case.name, bound_s=case.bound_s, logs=str(lane.directory))
    try:
        lane.all_up()
        case.run(lane, case, outcome)
        clean_up(lane, outcome)
    except Exception as error:  # noqa: BLE001 - the case's own failure, told where it is checked
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        outcome.lost.append(f"{type(error).__name__}: {error} (line {line})")
    finally:
        lane.faults.disarm()
        lane.servers_of_case.clear()
    return outcome


def clean_up(lane: Lane, outcome: Outcome) -> None:
    """Deliver late what the dead had in hand, delete what is there, and look what is left."""
    checks.deliver_what_was_lost(lane)
    for server_id in lane.servers_there():
        lane.plane.delete(server_id)
    for server_id in lane.servers_of_case:
        lane.plane.settled(server_id, 25)
    checks.deliver_what_was_lost(lane)
    outcome.leaked += checks.left_over(lane)
    for server_id in lane.servers_of_case:
        for run in lane.plane.runs(server_id, *PIPELINES):
            outcome.lost += checks.wrong_with_story(lane, run)


# --- bringing a server to a stage -----------------------------------------------------------------


class Journey:
    """A server on its way through one pipeline, with a fault that waits for it there."""

    def __init__(self, lane: Lane, case: Case, action: str, **fault: str) -> None:
        self._lane, self._case = lane, case
        self._plane = lane.plane
        self._create = self._plane.create(publish=False)
        self.server_id = self._create.server_id
        lane.servers_of_case.append(self.server_id)
        self.held: Fault | None = None
        self._sent: Future[Any] | None = None
        if case.point == "report-began":
            # A beginning is told only of a stage that lasts.
            self.held = Fault(case.pipeline, case.stage, "inside", "hold", self.server_id)
        self.fault = Fault(
            fault.get("pipeline", case.pipeline),
            fault.get("stage", case.stage),
            fault.get("point", case.point),
            action=action,  # type: ignore[arg-type]
            server_id=self.server_id,
        )

    def begin(self) -> None:
        """Do what leads to the pipeline's start."""
        ways = {CREATE: self._to_create, DELETE: self._to_delete}
        ways |= dict.fromkeys(ACTIONS | {RESIZE, MIGRATE}, self._to_action)
        ways.get(self._case.pipeline, self._to_unwind)()

    def purge(self) -> None:
        """Delete the server while its host is lost, then let the host come back."""
        self._active()
        host = f"compute-{self.host()}"
        self._lane.supervisor.rest(host)
        self._lane.byre.fork(host).kill()
        wait_until(lambda: self._lane.lost(self.host()), "the host to be lost", 20)
        self._plane.delete(self.server_id)
        removal = self.run_of(DELETE)
        self._plane.ended(removal, 20)
        self._arm()
        self._lane.supervisor.look_after(host)

    def host(self) -> str:
        """Return the name of the host that the server's create was last given."""
        hosts = [host for host, _, _ in self._plane.attempts(self._create) if host]
        return hosts[-1]

    def struck(self) -> Hit:
        """Wait for the fault; return where it struck."""
        hit = self._lane.struck(self.fault)
        if self.held is not None:
            self._lane.faults.release(self.held)
        return hit

    def _arm(self) -> None:
        self._lane.arm(self.fault)
        if self.held is not None:
            self._lane.arm(self.held)

    def run_of(self, pipeline: str) -> Run:
        """Return the server's run of a pipeline. Raises TimeoutError if there is none."""
        wait_until(lambda: self._plane.runs(self.server_id, pipeline), f"the {pipeline}", 10)
        return self._plane.runs(self.server_id, pipeline)[0]

    def arrived(self) -> list[str]:
        """Wait for the end that the owner was promised; return what is wrong with it."""
        if self._sent is not None:
            # The database may be away when its sender notes that it was sent.
            with suppress(OperationalError):
                self._sent.result(30)
        limit_s = self._case.bound_s + 5
        ended = self._plane.ended(self.run_of(self._case.pipeline), limit_s)
        found = [] if ended.state == "done" else [f"{ended.pipeline} {ended.state}: {ended.reason}"]
        if self._case.pipeline in ACTIONS | {RESIZE}:
            wanted = actions.ACTIONS[self._case.pipeline].end or actions.ACTIVE
            found += checks.wrong_with_placed(self._lane, self.server_id, wanted)
        elif self._case.pipeline == MIGRATE:
            found += checks.wrong_with_moved(self._lane, self.server_id, self.host())
        elif self._case.pipeline in (CREATE, UNWIND):
            self._plane.ended(self._create, limit_s)
            found += checks.wrong_with_active(self._lane, self.server_id)
        elif (status := self._plane.server(self.server_id).status) != "DELETED":
            found.append(f"it is {status}")
        if self._case.pipeline == PURGE:
            wait_until(lambda: not self._lane.lost(self.host()), "the host to be taken back", 20)
        return found

    def attempts(self) -> int:
        """Return how many attempts the pipeline's run took."""
        return len(self._plane.attempts(self.run_of(self._case.pipeline)))

    def _active(self) -> None:
        self._plane.publisher.publish(self._create.id)
        ended = self._plane.ended(self._create, 25)
        if ended.state != "done":
            raise RuntimeError(f"the server did not come up: {ended.reason}")

    def _apart(self, send: Callable[[str], Any], what: str) -> None:
        """A stage may be held inside its transaction before its sender has noted that it was sent:
        on SQLite, which has one writer, the sender waits for it."""
        executor = ThreadPoolExecutor(1)
        self._sent = executor.submit(send, what)
        executor.shutdown(wait=False)

    def _to_create(self) -> None:
        self._arm()
        self._apart(self._plane.publisher.publish, self._create.id)

    def _to_delete(self) -> None:
        self._active()
        self._arm()
        self._apart(self._plane.delete, self.server_id)

    def _to_action(self) -> None:
        self._active()
        self._arm()
        self._apart(
            lambda server_id: self._plane.ask(server_id, self._case.pipeline), self.server_id
        )

    def _to_unwind(self) -> None:
        if self._case.pipeline == PURGE:
            self.purge()
            return
        self._lane.arm(Fault(CREATE, "define_domain", "before", "fail", self.server_id))
        self._arm()
        self._plane.publisher.publish(self._create.id)


def finish(journey: Journey, outcome: Outcome, since: float) -> None:
    """Wait for the end, and note it with the time that it took from `since`."""
    outcome.lost += journey.arrived()
    outcome.recovery_s = max(0.0, time.time() - since)


def described(hit: Hit) -> str:
    """Say where a fault struck."""
    return f"{hit.pipeline}/{hit.stage} {hit.point} in process {hit.pid}"


def meant(case: Case, hit: Hit) -> None:
    """Raise AssertionError unless the fault struck where it was to."""
    assert (hit.pipeline, hit.stage, hit.point) == (case.pipeline, case.stage, case.point)


def stages(*pipelines: str) -> list[tuple[str, Stage]]:
    """Return the stages of these pipelines, or of all."""
    return [(p, stage) for p, stage in ALL_STAGES if not pipelines or p in pipelines]


def stages_around() -> list[tuple[str, Stage]]:
    """Return the stages at which something is lost that all of them need: of a move only one that
    carries a disk, and the one that changes the server's host."""
    return [(p, s) for p, s in ALL_STAGES if p != MIGRATE or s.name in {"send_disks", "move"}]
