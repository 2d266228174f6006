"""The one place where a message becomes a stage's `do()`: decode, fence, retry, log, report.

Both sides use it. What differs is the ledger: the control side writes its rows itself, a
hypervisor keeps a journal and sends reports. A stage of the other side is refused.
"""

import inspect
import time
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, NoReturn, Protocol, TypeVar

import structlog
from celery import Celery, Task
from celery.exceptions import Reject, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from tasks.errors import (
    ByreError,
    MalformedMessage,
    NewerMessage,
    NotYet,
    StageExpired,
    StaleMessage,
    TransientError,
)
from tasks.messages import Envelope, Failure, Job, Message, Move, Placement, Value
from tasks.pipelines import PIPELINES, REMOVALS, Side, Stage

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=Message)
R = TypeVar("R")

#: A message of a newer version is put back after so many seconds: it is for a newer worker, and the
#: pause keeps this one from doing nothing else.
NEWER_PAUSE_S = 1.0

#: What the runner itself notes in a message: that the stage has begun, how often it was tried.
_OWN_NOTES = ("begun", "tries")

#: Another try of a transient failure on the same host: how often, and after how many seconds.
TRANSIENT_RETRIES = 4
TRANSIENT_PAUSES_S = (1.0, 3.0, 9.0, 27.0)


class Ledger(Protocol):
    """Where a side keeps what became of its stages."""

    def guard(self, job: Job, stage: str) -> AbstractContextManager[None]:
        """Keep other stages of this server out while one runs. Raises StaleMessage if the job's
        run or attempt is over, ServerHeld if another stage is at work."""
        ...

    def has_completed(self, job: Job, stage: str) -> bool:
        """Say whether an earlier message of this run did the stage, or all that the run was to do,
        so that to do it again would be once too often: only its report was lost."""
        ...

    def began(self, job: Job, stage: str, worker: str) -> None:
        """Note that the stage is at work. Raises StaleMessage."""
        ...

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        """Note an output that is not final."""
        ...

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        """Note that the stage is done."""
        ...

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        """Note that the stage failed for good; the control side decides what follows."""
        ...


def register(
    celery: Celery,
    side: Side,
    modules: Mapping[str, ModuleType],
    resource: Callable[[], Any],
    ledger: Callable[[], Ledger],
    worker: str,
) -> None:
    """Register a Celery task for each stage of this side, under the stage's name.

    `resource` gives what the stages of this side work on (the hypervisor, or the store), `ledger`
    its ledger; both are asked at each message, since a process may open them after a fork.
    `worker` is the name under which this process reports.
    Raises LookupError if a stage of the side has no module, or a module no stage.
    """
    stages = {s.name: s for rows in PIPELINES.values() for s in rows if s.side is side}
    if stages.keys() != modules.keys():
        raise LookupError(f"stages without module or the reverse: {stages.keys() ^ modules.keys()}")
    for stage in stages.values():
        _register_stage(celery, stage, modules[stage.name], resource, ledger, worker)


def _register_stage(
    celery: Celery,
    stage: Stage,
    module: ModuleType,
    resource: Callable[[], Any],
    ledger: Callable[[], Ledger],
    worker: str,
) -> None:
    inputs = inputs_of(module)

    def body(task: "Task[Any, Any]", message: dict[str, Any]) -> dict[str, Any]:
        envelope = understood(Envelope, message, stage.name)
        with structlog.contextvars.bound_contextvars(stage=stage.name, **_bound(envelope.job)):
            delivery = _Delivery(task, stage, module, inputs, envelope, ledger(), worker)
            return delivery.run(resource())

    # Only processes can be stopped: the limits hold on the control side's prefork pool. On a
    # hypervisor the sweeper watches the same limits from outside.
    limits: dict[str, Any] = {}
    if stage.side is Side.CONTROL:
        limits = {"soft_time_limit": stage.limit_s, "time_limit": stage.limit_s + 10}
    task: Any = celery.task  # the stubs know no limits that are worked out
    task(name=stage.name, bind=True, max_retries=None, throws=(ByreError,), shared=False, **limits)(
        body
    )


def understood(kind: type[M], message: object, task: str) -> M:
    """Return the message. Raises MalformedMessage, Reject (see `taken`)."""
    return taken(task, lambda: kind.parse(message))


def taken(task: str, take: Callable[[], R]) -> R:
    """Return what `take` gives that begins with understanding a message. One of a newer version is
    put back into its queue (Reject), for during an upgrade somebody else understands it. Raises
    MalformedMessage, told in the log."""
    try:
        return take()
    except NewerMessage as newer:
        log.warning("message.put_back", task=task, reason=newer.public)
        time.sleep(NEWER_PAUSE_S)
        raise Reject(newer, requeue=True) from newer
    except MalformedMessage as refusal:
        log.error("message.refused", task=task, reason=refusal.public)
        raise


class _Delivery:
    """One delivery of one message to one stage."""

    def __init__(
        self,
        task: "Task[Any, Any]",
        stage: Stage,
        module: ModuleType,
        inputs: Mapping[str, type[Value]],
        envelope: Envelope,
        ledger: Ledger,
        worker: str,
    ) -> None:
        self.task, self.stage, self.module = task, stage, module
        self.inputs, self.envelope, self.ledger = inputs, envelope, ledger
        self.job = envelope.job
        self.worker = worker
        self.started_at = time.time()

    def run(self, resource: Any) -> dict[str, Any]:
        """Run the stage; return the message of the next link. Raises what ends the chain."""
        try:
            with self.ledger.guard(self.job, self.stage.name):
                return self._work(resource)
        except StaleMessage as stale:
            log.info("stage.stale", reason=stale.public)
            raise
        except NotYet as pending:
            self._ask_again(pending)
        except TransientError as error:
            self._try_again_or_fail(error)
        except ByreError as error:
            self._fail(error)
            raise
        except OperationalError as lost:
            # The broker went away with what the stage gave. It is not the stage's failure: the
            # message comes again, and the stage finds its work done.
            log.warning("stage.unreported", reason=str(lost))
            raise Reject(lost, requeue=True) from lost
        except SoftTimeLimitExceeded:
            limit_s = self.stage.limit_s
            self._try_again_or_fail(TransientError(f"The stage took over {limit_s:.0f} s."))
        except Exception as error:
            log.exception("stage.crashed")
            self._fail(ByreError("An error inside Byre; its operator finds it in the log."))
            raise ByreError(repr(error)) from error
        raise AssertionError("unreachable: every handler above raises")

    def _work(self, resource: Any) -> dict[str, Any]:
        self._refuse_expired()
        if not self._value("begun"):
            self.ledger.began(self.job, self.stage.name, self.worker)
            self.envelope.data["begun"] = True
            log.info("stage.began")
        done = self.ledger.has_completed(self.job, self.stage.name)
        output = None if done else self._do(resource)
        self.ledger.finished(self.job, self.stage.name, self.worker, self.started_at, output)
        log.info("stage.finished", took_s=round(time.time() - self.started_at, 3))
        return self._next(output)

    def _do(self, resource: Any) -> Any:
        given = {n: t.parse(v) for n, t in self.inputs.items() if (v := self._value(n)) is not None}
        return self.module.do(self.job, resource, **given)

    def _value(self, name: str) -> Any:
        return self.envelope.data.get(name)

    def _refuse_expired(self) -> None:
        # What removes is owed however late it comes.
        if self.job.pipeline not in REMOVALS and time.time() > self.job.deadline:
            raise StageExpired(
                f"Stage {self.stage.name} was not started before the deadline of its run."
            )

    def _next(self, output: Any) -> dict[str, Any]:
        job = self.job
        if isinstance(output, Placement | Move):
            job, output = job.model_copy(update={"host": output.host}), output.told
        gone = (*self.stage.drops, *_OWN_NOTES)
        data = {name: value for name, value in self.envelope.data.items() if name not in gone}
        if self.stage.output and output is not None:
            data[self.stage.output] = output.model_dump()
        return Envelope(job=job, data=data).model_dump()

    def _ask_again(self, pending: NotYet) -> None:
        for name, value in pending.found.items():
            found = value.model_dump()
            if found != self._value(name):
                self.ledger.progressed(self.job, self.stage.name, self.worker, value)
            self.envelope.data[name] = found
        self._again(pending.again_s)

    def _try_again_or_fail(self, error: TransientError) -> None:
        tries = self.envelope.data.get("tries", 0)
        if tries >= TRANSIENT_RETRIES:
            self._fail(error)
            raise error
        log.warning("stage.retrying", reason=error.public, tries=tries + 1, **error.facts)
        self.envelope.data["tries"] = tries + 1
        self._again(TRANSIENT_PAUSES_S[tries])

    def _again(self, pause_s: float) -> NoReturn:
        """Have the message come again after a pause."""
        try:
            raise self.task.retry(args=(self.envelope.model_dump(),), countdown=pause_s)
        except Reject as lost:
            # Celery gives a message up that it cannot send again; the broker still has this one.
            raise Reject(lost, requeue=True) from lost

    def _fail(self, error: ByreError) -> None:
        log.warning("stage.failed", code=error.code, reason=error.public, **error.facts)
        failure = Failure(
            code=error.code,
            fault=error.fault.value,
            public=error.public,
            console=getattr(error, "console", ""),
        )
        self.ledger.failed(self.job, self.stage.name, self.worker, self.started_at, failure)


def inputs_of(module: ModuleType) -> dict[str, type[Value]]:
    """Return the keyword inputs of a stage's `do` with their types; optional ones unwrapped."""
    hints = typing.get_type_hints(module.do)
    names = [
        parameter.name
        for parameter in inspect.signature(module.do).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    return {name: _value_type(hints[name]) for name in names}


def _value_type(hint: Any) -> type[Value]:
    choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
    chosen: type[Value] = choices[0] if choices else hint
    return chosen


def _bound(job: Job) -> dict[str, Any]:
    return job.model_dump(include={"request_id", "server_id", "run_id", "attempt", "host"})
