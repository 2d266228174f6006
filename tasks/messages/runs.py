"""A run on its way through its stages: which one it is, and the envelope that carries it."""

from typing import Any

from pydantic import Field

from tasks.messages.base import Message, Value


class AttemptRef(Value):
    """One attempt of one run."""

    run_id: str
    attempt: int = Field(ge=1)


class Job(Value):
    """Which run, attempt and server a message belongs to: its fence."""

    pipeline: str
    run_id: str
    attempt: int = Field(ge=1)
    server_id: str
    project_id: str
    #: `req-<uuid>` of the HTTP request that caused the run; bound to every log line.
    request_id: str
    #: Unix time in seconds after which no stage of this run may start.
    deadline: float
    #: The hypervisor's name; unset until `schedule` has claimed one.
    host: str | None = None
    #: With `unwind`: the attempt of a create whose traces are to go.
    undoes: AttemptRef | None = None


class Envelope(Message):
    """One message of a chain: the job and what earlier stages gave, by output name."""

    job: Job
    data: dict[str, Any] = Field(default_factory=dict)
