"""What a host is asked while somebody waits, and what it answers."""

from typing import Literal

from tasks.messages.base import Message, Value
from tasks.messages.domains import Outline
from tasks.messages.images import StoredFormat
from tasks.messages.runs import Job


class Question(Message):
    """What a host is asked while somebody waits. Void after `deadline` (Unix seconds)."""

    host: str
    #: Which question this is.
    question: str
    deadline: float


class DescribeDomain(Question):
    """Tell how the domain of a server would be described that is not there: nothing is made."""

    job: Job
    outline: Outline
    #: The image's: one to install from is a disc of the server's.
    image_format: StoredFormat


class Diagnose(Question):
    """Tell what a server's machine has used and moved since it was started."""

    server_id: str


class DiskUse(Value):
    """What went to and from a disk."""

    #: As the guest finds it, by its bus: `vda`.
    device: str
    read_requests: int
    read_bytes: int
    write_requests: int
    write_bytes: int
    #: -1: not told.
    errors: int


class Traffic(Value):
    """What went through an interface in one direction."""

    octets: int
    packets: int
    errors: int
    drop: int


class InterfaceUse(Value):
    """What went through an interface, as the guest sees it: `rx` is what it was sent."""

    device: str
    mac: str
    rx: Traffic
    tx: Traffic


class Diagnosis(Value):
    """What a server's machine has used and moved since it was started."""

    driver: Literal["libvirt", "fake"]
    domain_type: str
    state: Literal["running", "paused"]
    #: Nanoseconds that each vCPU has run.
    cpu_times_ns: list[int]
    memory_kib: int
    #: What the balloon tells, by libvirt's names; mostly KiB.
    memory: dict[str, int]
    disks: list[DiskUse]
    interfaces: list[InterfaceUse]


class Answer(Message):
    """What a host says to a question, or why it cannot."""

    question: str
    deadline: float
    text: str = ""
    #: The error's code word and public text; empty if there is an answer.
    code: str = ""
    refused: str = ""
