"""Queue names, and the one function that decides which queue a message goes to."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

CONTROL = "control"

#: Signs of life and the sweep's ticks: a burst of work must not make live hosts look silent.
PULSE = "pulse"
PULSE_TASKS = frozenset(
    {
        "heartbeat",
        "hello",
        "sweep",
        "survey",
        "domain_change",
        "fabric_changed",
        "cache_report",
        # Somebody waits for these.
        "console",
        "console_way",
        "answer",
    }
)

#: Tasks that are no stages, but may go to a hypervisor: their message names it at its top.
CANARY = "canary"
TIDY = "tidy"
FABRIC = "fabric"
WARM_CACHE = "warm_cache"
READ_CONSOLE = "read_console"
OPEN_CONSOLE = "open_console"
DESCRIBE_DOMAIN = "describe_domain"
DIAGNOSE = "diagnose"
FORGET_PASSWORDS = "forget_passwords"

_ORDERS = frozenset(
    {
        CANARY,
        TIDY,
        FABRIC,
        WARM_CACHE,
        READ_CONSOLE,
        OPEN_CONSOLE,
        DESCRIBE_DOMAIN,
        DIAGNOSE,
        FORGET_PASSWORDS,
    }
)

#: Says that hosts have something to learn (app.runs.fabric). It has no message.
FABRIC_CHANGED = "fabric_changed"

#: What comes back; through the queue that all reports take, behind those sent before.
CANARY_ANSWER = "canary_answer"

#: What is in a hypervisor's image cache.
CACHE_REPORT = "cache_report"

#: What guests have posted as their passwords.
POSTED_PASSWORDS = "posted_passwords"

#: What a server's console says.
CONSOLE = "console"

#: Where a server's console can be reached.
CONSOLE_WAY = "console_way"

#: What a host says to a question.
ANSWER = "answer"

Router = Callable[..., dict[str, str]]


def compute_queue(host: str) -> str:
    """Return the queue that only this hypervisor's worker takes from."""
    return f"compute.{host}"


def compute_worker(host: str) -> str:
    """Return the name of a hypervisor's worker: in Celery, in Flower, in the rows of its stages."""
    return f"compute@{host}"


def control_worker(machine: str) -> str:
    """Return the name of the control worker on a machine."""
    return f"control@{machine}"


def make_router(compute_stages: Collection[str]) -> Router:
    """Return the routing function for `task_routes`; the rest is the control side's."""

    def route_task(
        name: str, args: Sequence[Any] | None = None, *_: Any, **__: Any
    ) -> dict[str, str]:
        """Celery calls this when a link is published, which for a link of a chain is when the
        one before it has ended: by then `schedule` has put the host into the envelope."""
        if name in compute_stages:
            return {"queue": queue_of(name, args)}
        if name in _ORDERS and args and args[0].get("host"):
            return {"queue": compute_queue(args[0]["host"])}
        return {"queue": PULSE if name in PULSE_TASKS else CONTROL}

    return route_task


def queue_of(name: str, args: Sequence[Any] | None) -> str:
    """Return the queue of the hypervisor that a compute stage's message names.

    Raises ValueError if it names none: it must never land where some other worker reads.
    """
    envelope = args[0] if args else None
    host = envelope["job"].get("host") if isinstance(envelope, Mapping) else None
    if not host:
        raise ValueError(f"{name} has no host in its message")
    return compute_queue(host)
