"""What every message is: a frozen value in JSON, and the version in which it speaks."""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import MalformedMessage, NewerMessage

#: Raised when messages change. A process understands this one and the one before, so that a fleet
#: can be upgraded host by host; a newer one it puts back for somebody who does (`NewerMessage`).
VERSION = 4
OLDEST_VERSION = 3


class Value(BaseModel):
    """A frozen value without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Return the value that `raw` (decoded JSON) spells. Raises MalformedMessage."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "(the whole)"
            raise MalformedMessage(
                f"{cls.__name__}: field {where}: {first['msg']}", problems=error.error_count()
            ) from error


class Message(Value):
    """A value that crosses the broker by itself, and so says in which version it speaks.

    What version 3 lacked has defaults. Rows of runs that are still owed may hold networks and
    ports in the form of version 2, which `NetworkSpec` and `PortSpec` still read.
    """

    version: int = VERSION

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Return the message. Raises NewerMessage, MalformedMessage."""
        version = raw.get("version", OLDEST_VERSION) if isinstance(raw, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise NewerMessage(f"{cls.__name__} speaks version {version}; known is {VERSION}.")
        if isinstance(version, int) and version < OLDEST_VERSION:
            raise MalformedMessage(f"{cls.__name__}: no version {version} was ever spoken")
        return super().parse(raw)
