"""Messages to a hypervisor that are no stage of a run: canaries, what is to be tidied up, what its
networks and groups have to be like, images to fetch ahead, consoles to be read or opened,
passwords that were cleared, and other questions."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import structlog

from config.queues import (
    ANSWER,
    CANARY,
    CANARY_ANSWER,
    CONSOLE,
    CONSOLE_WAY,
    DESCRIBE_DOMAIN,
    DIAGNOSE,
    FABRIC,
    FORGET_PASSWORDS,
    OPEN_CONSOLE,
    READ_CONSOLE,
    TIDY,
    WARM_CACHE,
)
from tasks.errors import ByreError
from tasks.messages import (
    Answer,
    Canary,
    Console,
    ConsoleWay,
    DescribeDomain,
    Diagnose,
    Fabric,
    ForgetPasswords,
    Message,
    OpenConsole,
    Question,
    ReadConsole,
    Thing,
    Tidy,
    WarmCache,
)
from tasks.runner import understood
from workers.hosted import Hosted
from workers.hypervisor.guest_data import GuestStore

log = structlog.get_logger(__name__)


def answer_canary(worker: Hosted, canary: Canary) -> None:
    """Say that it came through: this worker takes from its queue, and nothing older is in it."""
    worker.celery.send_task(CANARY_ANSWER, args=[canary.model_dump()])


def tidy_up(worker: Hosted, order: Tidy) -> None:
    """Put out of action, or remove, what nobody owns. An order that comes late is void: things may
    have found an owner since, and the next survey brings a new one."""
    if time.time() > order.deadline:
        log.info("tidy.late", things=len(order.quarantine) + len(order.discard))
        return
    for thing in _domains_first(order.quarantine):
        _see_to(worker, worker.host.quarantine, thing, "thing.quarantined")
    for thing in _domains_first(order.discard):
        _see_to(worker, worker.host.discard, thing, "thing.discarded")


def warm_cache(worker: Hosted, order: WarmCache) -> None:
    """Have images fetched that somebody means to build with. An order whose tickets have expired
    is void."""
    if time.time() > order.deadline:
        log.info("warming.late", images=len(order.images))
        return
    for image in order.images:
        worker.warming.put(image)


def forget_passwords(worker: Hosted, order: ForgetPasswords) -> None:
    """Let guests post others."""
    guests = GuestStore(worker.settings.state_dir)
    for server_id, digest in order.digests.items():
        guests.forget_password(server_id, digest)
        log.info("password.forgotten", server=server_id)


def tell_console(worker: Hosted, order: ReadConsole) -> None:
    """Say what a server's console says, unless nobody waits for it any more."""
    if time.time() > order.deadline:
        log.info("console.late", server=order.server_id)
        return
    answer = Console(
        question=order.question,
        deadline=order.deadline,
        text=worker.host.console(order.server_id),
    )
    # Flower shows what tasks are given: what a guest writes is its owner's.
    shown = f"(console of {order.server_id})"
    worker.celery.send_task(CONSOLE, args=[answer.model_dump()], retry=False, argsrepr=shown)


def open_console(worker: Hosted, order: OpenConsole) -> None:
    """Have the gate let somebody in, and say where, or why not; unless nobody waits for it any
    more."""
    if time.time() > order.deadline:
        log.info("console.late", server=order.server_id)
        return
    try:
        answer = worker.gate.announce(order)
    except ByreError as error:
        log.info("console.refused", server=order.server_id, reason=error.public)
        answer = ConsoleWay(
            question=order.question,
            deadline=order.deadline,
            code=error.code,
            refused=error.public,
        )
    worker.celery.send_task(CONSOLE_WAY, args=[answer.model_dump()], retry=False)


def describe_domain(worker: Hosted, order: DescribeDomain) -> None:
    """Say how a domain would be described here, unless nobody waits for it any more."""
    _answer(
        worker,
        order,
        lambda: worker.host.describe(order.job, order.outline, order.image_format),
    )


def diagnose(worker: Hosted, order: Diagnose) -> None:
    """Say what a server's machine has used, unless nobody waits for it any more."""
    _answer(worker, order, lambda: worker.host.diagnose(order.server_id).model_dump_json())


#: Task -> the message that it is given, and what is done then.
_TAKEN: dict[str, tuple[type[Message], Callable[[Hosted, Any], None]]] = {
    CANARY: (Canary, answer_canary),
    TIDY: (Tidy, tidy_up),
    FABRIC: (Fabric, lambda worker, order: worker.fabric.carry_out(order)),
    WARM_CACHE: (WarmCache, warm_cache),
    READ_CONSOLE: (ReadConsole, tell_console),
    OPEN_CONSOLE: (OpenConsole, open_console),
    DESCRIBE_DOMAIN: (DescribeDomain, describe_domain),
    DIAGNOSE: (Diagnose, diagnose),
    FORGET_PASSWORDS: (ForgetPasswords, forget_passwords),
}


def register(worker: Hosted) -> None:
    """Register the tasks by which this worker takes them."""
    for name, (kind, carry_out) in _TAKEN.items():
        _register(worker, name, kind, carry_out)


def _register(
    worker: Hosted, name: str, kind: type[Message], carry_out: Callable[[Hosted, Any], None]
) -> None:
    def body(message: dict[str, Any]) -> None:
        carry_out(worker, understood(kind, message, name))

    task: Any = worker.celery.task
    task(name=name, shared=False)(body)


def _answer(worker: Hosted, order: Question, find: Callable[[], str]) -> None:
    if time.time() > order.deadline:
        log.info("question.late", question=order.question)
        return
    answer = Answer(question=order.question, deadline=order.deadline)
    try:
        told: dict[str, str] = {"text": find()}
    except ByreError as error:
        log.info("question.refused", question=order.question, reason=error.public)
        told = {"code": error.code, "refused": error.public}
    message = answer.model_copy(update=told).model_dump()
    shown = f"(answer to {order.question})"
    worker.celery.send_task(ANSWER, args=[message], retry=False, argsrepr=shown)


def _domains_first(things: list[Thing]) -> list[Thing]:
    """A disk is not taken from a guest that runs."""
    return sorted(things, key=lambda thing: thing.kind != "domain")


def _see_to(worker: Hosted, verb: Callable[[Thing], None], thing: Thing, event: str) -> None:
    """One thing that cannot be removed must not keep the others; a stage of its server that is at
    work comes first."""
    hold = worker.journal.hold(thing.server_id) if thing.server_id else nullcontext()
    try:
        with hold:
            verb(thing)
        log.info(event, kind=thing.kind, name=thing.name)
    except ByreError as error:
        log.warning("thing.kept", kind=thing.kind, name=thing.name, reason=error.public)
