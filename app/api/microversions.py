"""Compute's microversions: which one a request asks for, and what is said of it in the answer.
What each of them changes is in app.api.gates.

A number is advertised only when everything below it is honoured, for clients take the highest.
"""

import re

from flask import g, has_request_context
from werkzeug.datastructures import Headers
from werkzeug.exceptions import BadRequest, NotAcceptable

from tasks.errors import NotFound

MINIMUM = (2, 1)
MAXIMUM = (2, 64)

STANDARD = "OpenStack-API-Version"
LEGACY = "X-OpenStack-Nova-API-Version"

_NUMBER = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)", re.ASCII)


def text(version: tuple[int, int]) -> str:
    """Return a version as it is written."""
    return f"{version[0]}.{version[1]}"


def used() -> tuple[int, int]:
    """Return the version that this request is answered in; the lowest where none was agreed on."""
    return g.get("microversion", MINIMUM) if has_request_context() else MINIMUM


def agree(headers: Headers) -> None:
    """Settle the version that this request is answered in. Raises NotAcceptable, BadRequest."""
    g.microversion = negotiate(headers)


def negotiate(headers: Headers) -> tuple[int, int]:
    """Return the version that the headers ask for. Raises NotAcceptable, BadRequest."""
    wanted = _wanted(headers)
    if wanted is None:
        return MINIMUM
    if wanted == "latest":
        return MAXIMUM
    match = _NUMBER.fullmatch(wanted)
    if match is None:
        raise BadRequest(
            f"API Version String {wanted} is of invalid format."
            " Must be of format MajorNum.MinorNum."
        )
    version = int(match[1]), int(match[2])
    if not MINIMUM <= version <= MAXIMUM:
        raise NotAcceptable(
            f"Version {wanted} is not supported by the API. Minimum is {text(MINIMUM)} and"
            f" maximum is {text(MAXIMUM)}."
        )
    return version


def not_there() -> NotFound:
    """Return the error of what is not in the version that was asked for."""
    return NotFound(f"API version {text(used())} is not supported on this method.")


def write_headers(headers: Headers) -> None:
    """Say which version was used."""
    headers[STANDARD] = f"compute {text(used())}"
    headers[LEGACY] = text(used())
    headers["Vary"] = f"{STANDARD}, {LEGACY}"


def _wanted(headers: Headers) -> str | None:
    """The standard header holds `service version`, for several services by commas."""
    for entry in headers.get(STANDARD, "").split(","):
        service, _, version = entry.strip().partition(" ")
        if service == "compute":
            return version.strip()
    return headers.get(LEGACY)
