"""OpenStack's own command, loaded once, which takes ten times as long as what it then does. Each
command is run by a fork of the process that has loaded it: it keeps connections in its classes.

A line of JSON (words and environment) in, a line of JSON (status, output, errors) out.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, TextIO

from tests.processes import own_environment

#: Between two looks of a command that waits.
_PAUSE_S = 0.2


class OpenStackCommand:
    """The process that has loaded it, as seen from a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=own_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, words: list[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run `openstack` with these words. Raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([words, dict(environment)]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"openstack {' '.join(words)} ended the process that ran it")
        return subprocess.CompletedProcess(["openstack", *words], *json.loads(line))

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


def _run(words: list[str], environment: Mapping[str, str]) -> tuple[Any, str, str]:
    os.environ.update(environment)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), Path(os.devnull).open() as sys.stdin:
        try:
            status = OpenStackShell().run(words)
        except SystemExit as end:
            return end.code, out.getvalue(), err.getvalue()
    return status, out.getvalue(), err.getvalue()


def _serve(requests: TextIO) -> None:
    for line in requests:
        child = os.fork()
        if child == 0:
            print(json.dumps(_run(*json.loads(line))), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def _look_often() -> None:
    """Let `--wait` look more often than every five seconds, or two: most of a test was that."""
    status = partial(utils.wait_for_status, sleep_time=_PAUSE_S)  # type: ignore[arg-type]
    utils.wait_for_status = status
    delete = partialmethod(Proxy.wait_for_delete, interval=_PAUSE_S)
    Proxy.wait_for_delete = delete  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    from openstack.compute.v2._proxy import Proxy
    from openstackclient.shell import OpenStackShell
    from osc_lib import utils

    _look_often()
    lines = sys.stdin
    # Loads the modules of all commands, and needs nobody's name.
    _run(["command", "list"], {})
    _serve(lines)
