"""For how long this machine is up, and its load, in the words of its own `uptime`."""

import subprocess
import time

#: A program is not started for each heartbeat.
_FRESH_S = 30.0
_LIMIT_S = 5.0


class Uptime:
    """Asks now and then, and remembers."""

    def __init__(self) -> None:
        self._text, self._asked_at = "", 0.0

    def read(self) -> str:
        """Return what was said at most half a minute ago; nothing if there is no such program."""
        moment = time.monotonic()
        if not self._asked_at or moment - self._asked_at > _FRESH_S:
            self._text, self._asked_at = _ask(), moment
        return self._text


def _ask() -> str:
    try:
        done = subprocess.run(
            ["uptime"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_S,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.rstrip()[:255]
