"""Celery as Byre uses it: every setting that matters, with its reason beside it.

Numbers such as C1 name rows of the pitfalls that this project was built on; docs/development.md
tells them.
"""

from collections.abc import Collection
from typing import Any, Literal

from celery import Celery, Task
from kombu.transport import TRANSPORT_ALIASES

from config.queues import CONTROL, make_router
from config.settings import CommonSettings

Role = Literal["api", "control", "compute", "beat", "flower"]


# By name, so that addresses in logs and in Flower keep their form.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "config.redis_transport:Transport"))

#: Of a message, others are shown its beginning, in Flower and in events: version and job are
#: longer than this, so passwords and what else is its owner's come after it.
SHOWN_CHARACTERS = 256


class _Task(Task):  # type: ignore[type-arg]
    """A task of ours: what it gives is a message too."""

    resultrepr_maxsize = SHOWN_CHARACTERS


def make_celery(settings: CommonSettings, role: Role, compute_stages: Collection[str]) -> Celery:
    """Return the application of one kind of process. It registers no task by itself."""
    broker = settings.broker_url.get_secret_value()
    celery: Celery[Any] = Celery("byre", broker=broker, set_as_current=False, task_cls=_Task)
    celery.conf.update(
        # Only JSON crosses the broker: pickle would let whoever reaches Redis run code.
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        # The database is the truth; a result store would be a second one (C5).
        task_ignore_result=True,
        result_backend=None,
        task_default_queue=CONTROL,
        task_routes=(make_router(compute_stages),),
        # A message is done when its work is: a worker that dies gives it back.
        task_acks_late=True,
        # Otherwise the message of a killed process is acknowledged all the same (C3).
        task_reject_on_worker_lost=True,
        # One message in hand a slot: what a worker hoards, nobody else can do.
        worker_prefetch_multiplier=1,
        # A connection that is lost gives the messages to somebody else, so what is under way
        # is stopped (C2). Threads cannot be stopped: there the host's journal and its lock
        # for each server see to it that the second copy waits and then finds the work done.
        worker_cancel_long_running_tasks_on_connection_loss=role == "control",
        # A worker started before its broker waits for it, for ever: a supervisor's restarts
        # would do the same with more noise.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings, role),
        # The API must answer even with the broker down (the sweeper sends later); a worker
        # with a result in hand tries for some seconds before it gives up.
        task_publish_retry_policy={
            "max_retries": 1 if role == "api" else 20,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 1.0,
        },
        # On SIGTERM, work under way has so long to end; then it is put back (C17).
        worker_soft_shutdown_timeout=10.0,
        # Also when only a message with a countdown is held: it would be lost for half an hour.
        worker_enable_soft_shutdown_on_idle=True,
        # A process that has grown is replaced between two tasks (C14). KiB.
        worker_max_memory_per_child=400_000,
        # Rate limits cost a bucket a task and nothing here uses them.
        worker_disable_rate_limits=True,
        # Flower and `celery events` live on these.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Our own set-up of logging stays.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    celery.amqp.argsrepr_maxsize = SHOWN_CHARACTERS
    return celery


def _transport_options(settings: CommonSettings, role: Role) -> dict[str, Any]:
    """Options of the Redis transport; other brokers ignore those that they do not know."""
    if not settings.broker_url.get_secret_value().startswith("redis"):
        return {}
    return {
        # Longer than any stage may take, or a slow stage would be handed out twice (C1).
        "visibility_timeout": settings.broker_visibility_timeout_s,
        # Applications that share a Redis must not see each other's queues (C12).
        "global_keyprefix": settings.broker_key_prefix,
        # A half-open connection is noticed instead of listened to for ever (C4).
        "socket_keepalive": True,
        "health_check_interval": 15,
        "socket_connect_timeout": 1.0 if role == "api" else 5.0,
        "socket_timeout": 2.0 if role == "api" else 30.0,
        "retry_on_timeout": True,
        # Priorities are hidden extra lists, whose lengths nobody sees (C10).
        "priority_steps": [0],
    }
