"""What carries our mark on a host: found by a survey, tidied up, or changed by itself."""

from typing import Literal

from tasks.messages.base import Message, Value
from tasks.messages.domains import DomainState

ThingKind = Literal[
    "domain",
    "disk",
    #: A server's ephemeral disk, its swap disk, or the disc that it is installed from.
    "extra_disk",
    "config_drive",
    #: The variables of a guest's UEFI firmware.
    "nvram",
    "console_log",
    #: What the metadata service tells a guest, and what the guest said.
    "first_boot",
    "dhcp_entry",
    "filter",
    #: What a port's security groups allow.
    "firewall",
    #: A copy of a disk that is to become an image.
    "snapshot",
]


class Thing(Value):
    """One thing on a hypervisor that carries our mark. `kind` and `name` name it on its host."""

    kind: ThingKind
    name: str
    #: The server whose id is in its name or mark; none where only a port or a MAC is.
    server_id: str | None = None
    #: The port whose id is in the name of its filter or of its firewall rules.
    port_id: str | None = None
    #: The MAC that a DHCP entry is for, in lower case.
    mac: str | None = None
    #: Domains only.
    state: DomainState | None = None
    #: Put out of action, but still there to be looked at.
    quarantined: bool = False


class Survey(Message):
    """Everything with our mark that a hypervisor found on itself at one look."""

    host: str
    process: str
    #: Unix seconds of the host's clock, before the look began.
    taken_at: float
    things: list[Thing]


class Tidy(Message):
    """What nobody owns on a hypervisor: to be quarantined, or removed for good. Refused after
    `deadline` (Unix seconds), since things may have found an owner by then."""

    host: str
    deadline: float
    quarantine: list[Thing]
    discard: list[Thing]


class DomainChange(Message):
    """A domain of ours began, stopped or vanished by itself. `at` is Unix seconds of the host."""

    host: str
    server_id: str
    #: None when it is not there any more.
    state: DomainState | None
    at: float
