"""The service's address on this host: 169.254.169.254/32 on `lo`, with our mark.

Effect  the address, with the label `lo:byre`, by which it is known as ours.
Repeat  an address that is there is kept, whoever put it there.
Undo    `release` takes away what carries our label, and nothing else.
"""

import json
import socket
import subprocess
from typing import Any, Literal

import structlog

from workers.hypervisor.first_boot import METADATA_ADDRESS

log = structlog.get_logger(__name__)

_LABEL = "lo:byre"
_LIMIT_S = 5
_ANSWERS_WITHIN_S = 1.0


class AddressTaken(Exception):
    """Somebody else's metadata service answers at the address; the text says how to go on."""


def ensure(mode: Literal["auto", "on"]) -> None:
    """Have the address on this host. Raises AddressTaken, OSError.

    A host that is itself a guest of some cloud may need that cloud's service at the same address.
    With `auto` it is left alone if it is in use: by a route of its own, or by an answer.
    """
    if _on_lo():
        return
    if mode == "auto":
        owner = _owner()
        if owner is not None:
            raise AddressTaken(
                f"{METADATA_ADDRESS} is in use already ({owner}). Guests have their config drives;"
                " set BYRE_METADATA_SERVICE=on to take the address over on this host, or =off."
            )
    _ip("address", "add", f"{METADATA_ADDRESS}/32", "dev", "lo", "label", _LABEL)
    log.info("metadata.address_added", address=METADATA_ADDRESS)


def release() -> None:
    """Take the address away again if it is ours."""
    if any(entry.get("label") == _LABEL for entry in _on_lo()):
        _ip("address", "delete", f"{METADATA_ADDRESS}/32", "dev", "lo")


def _on_lo() -> list[dict[str, Any]]:
    text = _ip("-json", "address", "show", "dev", "lo")
    entries = [entry for link in json.loads(text or "[]") for entry in link.get("addr_info", ())]
    return [entry for entry in entries if entry.get("local") == METADATA_ADDRESS]


def _owner() -> str | None:
    """Return who has the address, as far as can be seen from here."""
    routes = json.loads(_ip("-json", "route", "show", "table", "all") or "[]")
    for route in routes:
        if str(route.get("dst", "")).split("/")[0] == METADATA_ADDRESS:
            return f"a route to it by {route.get('dev', route.get('gateway', 'another way'))}"
    try:
        socket.create_connection((METADATA_ADDRESS, 80), _ANSWERS_WITHIN_S).close()
    except OSError:
        return None
    return "another service answers there"


def _ip(*words: str) -> str:
    """Raises OSError with the program's own words."""
    try:
        done = subprocess.run(
            ["ip", *words], capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"ip {' '.join(words)}: no answer in {_LIMIT_S} s") from error
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
