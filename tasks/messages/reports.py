"""What a hypervisor reports of a stage to the control plane."""

from typing import Any, Literal

from tasks.messages.base import Message, Value
from tasks.messages.runs import Job


class Failure(Value):
    """Why a stage failed: code and class, the owner's text, the console's last lines."""

    code: str
    fault: Literal["request", "host", "transient", "bug"]
    public: str
    console: str = ""


class StageReport(Message):
    """What a hypervisor says of a stage: began, finished or failed. Times are Unix seconds."""

    job: Job
    stage: str
    #: `progress` carries an output that is not final: proofs of boot seen so far.
    event: Literal["began", "progress", "finished", "failed"]
    #: The worker's own name, so that one can prove who ran what.
    worker: str
    #: Which life of that worker: new at each start of its process.
    process: str = ""
    started_at: float
    at: float
    output: dict[str, Any] | None = None
    failure: Failure | None = None
