"""Reading a server's console, and being let in to it."""

from typing import Literal

from pydantic import Field

from tasks.messages.base import Message


class ReadConsole(Message):
    """Tell what a server's serial console says. Void after `deadline` (Unix seconds): nobody waits
    for it any more."""

    host: str
    server_id: str
    #: Which question this is.
    question: str
    deadline: float


class Console(Message):
    """The end of what a server's guests have written to its serial console."""

    question: str
    deadline: float
    text: str = Field(repr=False)


ConsoleKind = Literal["vnc", "serial"]


class OpenConsole(Message):
    """Let whoever brings a certain word to the host's gate reach a server's console, once, until
    `until`. Void after `deadline`: nobody waits for the answer any more. Both are Unix seconds."""

    host: str
    server_id: str
    kind: ConsoleKind
    #: Which question this is.
    question: str
    deadline: float
    #: SHA-256 of the word, which itself never travels to the host before it is used.
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    until: float


class ConsoleWay(Message):
    """Where a host's gate lets somebody in to a server's console, or why it does not."""

    question: str
    deadline: float
    address: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    #: SHA-256 of the gate's certificate, by which it is known.
    certificate: str = ""
    #: The error's code word, and what its owner may know of it; empty if there is a way.
    code: str = ""
    refused: str = ""
