"""Keeps the host's metadata service running: a process of its own, started anew when it ends."""

import subprocess
import sys
import threading
import time
from contextlib import suppress

import structlog

from config.settings import ComputeSettings

log = structlog.get_logger(__name__)

#: Pauses before it is started anew: doubled each time, until it has run for a while.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
_RAN_WELL_S = 30.0
_END_LIMIT_S = 5.0


class MetadataKeeper(threading.Thread):
    """Watches until it is stopped. It does nothing where there are no guests that could ask (the
    fake driver), or where the operator wants no service."""

    def __init__(self, settings: ComputeSettings, command: list[str] | None = None) -> None:
        super().__init__(name="metadata-keeper", daemon=True)
        self._wanted = settings.driver != "fake" and settings.metadata_service != "off"
        self._command = command or [sys.executable, "-m", "workers.metadata"]
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Have the process run."""
        pause_s = FIRST_PAUSE_S
        while self._wanted and not self._stopped.is_set():
            began = time.monotonic()
            status = self._run_once()
            if self._stopped.is_set():
                return
            ran_well = time.monotonic() - began > _RAN_WELL_S
            pause_s = FIRST_PAUSE_S if ran_well else min(LONGEST_PAUSE_S, pause_s * 2)
            log.warning("metadata.ended", status=status, again_in_s=pause_s)
            self._stopped.wait(pause_s)

    def stop(self) -> None:
        """End the process, and start it no more."""
        self._stopped.set()
        with self._lock:
            process = self.process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _run_once(self) -> int | None:
        with self._lock:
            if self._stopped.is_set():
                return None
            try:
                # Its standard input ends with this process, whichever way that ends.
                self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            except OSError as error:
                log.error("metadata.not_started", reason=str(error))
                return None
        status = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return status
