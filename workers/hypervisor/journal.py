"""What this host remembers of each server's runs, so that a late message has no effect here.

Design, rule 4: a stage of an attempt that has been superseded does nothing. The control plane
checks that in its database; a hypervisor has none, so it keeps one small file a server: the run
and attempt last admitted, the runs that came before it, what was unwound, whether the server was
torn down. Files are replaced whole, so they survive a crash at any point.

Runs of one server never overlap: the control plane begins one only after the last has ended. Run
ids have no order, therefore *first seen here* is the order: a run that was never seen is newer
than the one recorded, which from then on is over; a run that is over never comes back. One case
is left to others: the first message of an older run, which this host has never seen, arriving
after a newer run's. The run's deadline stops it, and so does `bar_server` after a deletion.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tasks.errors import HostError, ServerHeld, StaleMessage
from tasks.messages import AttemptRef, Job, Value
from workers.hypervisor.files import replacing
from workers.hypervisor.names import checked

#: Runs remembered as over, for each server. More of them than a message can outlive.
_REMEMBERED_RUNS = 64

#: Seconds after which a stage asks again whether its turn has come.
HELD_PAUSE_S = 2.0


class Entry(Value):
    """What is remembered of one server."""

    version: Literal[1] = 1
    server_id: str
    #: The run and attempt admitted last; unset when only an undo was ever seen.
    run_id: str | None = None
    attempt: int = 0
    #: Runs that a newer one has replaced, oldest first.
    over: list[str] = Field(default_factory=list)
    #: run id -> the highest attempt of it that was unwound here.
    barred: dict[str, int] = Field(default_factory=dict)
    #: The attempt that was completed last.
    completed: AttemptRef | None = None
    #: Stages that were done for the last run and are done once only (tasks.pipelines.Stage.once).
    done_once: list[str] = Field(default_factory=list)
    #: The pipeline that tore the server down. A run of it may still come: it can only remove again.
    torn_down_by: str | None = None
    #: Unix seconds of the last change.
    changed_at: float = 0.0


class Journal:
    """The memory of one host, in a directory of its own. For the threads of one process."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now
        self._held: dict[str, tuple[threading.Lock, int]] = {}
        self._guard = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def hold(self, server_id: str, limit_s: float = 1.0) -> Iterator[None]:
        """Let one thread at a time work on the server. Raises ServerHeld after `limit_s` seconds:
        to wait longer is the message's business, not the thread's."""
        lock = self._join(server_id)
        try:
            if not lock.acquire(timeout=limit_s):
                raise ServerHeld(
                    "Another stage of this server is still running on its host.",
                    again_s=HELD_PAUSE_S,
                )
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(server_id)

    def admit(self, job: Job, *, only_looks: bool = False) -> None:
        """Record the job as the newest of its server; the same one may come again. Raises
        StaleMessage if it was superseded, unwound, completed, or its server torn down. What only
        looks may come again after its attempt was completed."""
        with self._guard:
            entry = self._read(job.server_id)
            reason = _refusal(entry, job)
            if entry.completed == AttemptRef(run_id=job.run_id, attempt=job.attempt):
                reason = reason or (None if only_looks else "This attempt was completed here.")
            if reason:
                raise StaleMessage(reason, run=job.run_id, attempt=job.attempt)
            if (entry.run_id, entry.attempt) != (job.run_id, job.attempt):
                self._write(_advanced(entry, job))

    def complete(self, job: Job) -> None:
        """Note that the attempt has done all that it was to do here: a late copy of one of its
        messages would start a guest that its owner has stopped since."""
        with self._guard:
            entry = self._read(job.server_id)
            done = AttemptRef(run_id=job.run_id, attempt=job.attempt)
            if entry.completed != done:
                self._write(entry.model_copy(update={"completed": done}))

    def has_completed(self, server_id: str, run_id: str) -> bool:
        """Say whether the run is the last one that was completed, in whichever attempt."""
        with self._guard:
            completed = self._read(server_id).completed
        return completed is not None and completed.run_id == run_id

    def note_once(self, job: Job, stage: str) -> None:
        """Note that a stage which is done once only was done for the job's run."""
        with self._guard:
            entry = self._read(job.server_id)
            if entry.run_id == job.run_id and stage not in entry.done_once:
                done = [*entry.done_once, stage]
                self._write(entry.model_copy(update={"done_once": done}))

    def was_done(self, job: Job, stage: str) -> bool:
        """Say whether it was, in whichever attempt."""
        with self._guard:
            entry = self._read(job.server_id)
        return entry.run_id == job.run_id and stage in entry.done_once

    def is_superseded(self, server_id: str, undone: AttemptRef) -> bool:
        """Say whether a newer attempt or run was admitted, so that this one's undo would take away
        what the newer one made."""
        with self._guard:
            entry = self._read(server_id)
        if undone.run_id == entry.run_id:
            return undone.attempt < entry.attempt
        return undone.run_id in entry.over

    def bar_run(self, server_id: str, undone: AttemptRef) -> None:
        """Refuse this attempt and all before it from now on; a higher attempt is a new try."""
        with self._guard:
            entry = self._read(server_id)
            attempt = max(undone.attempt, entry.barred.get(undone.run_id, 0))
            if entry.barred.get(undone.run_id) != attempt:
                barred = _newest({**entry.barred, undone.run_id: attempt})
                self._write(entry.model_copy(update={"barred": barred}))

    def bar_server(self, job: Job) -> None:
        """Refuse everything of this server from now on, but for runs of the job's own pipeline:
        removing what is gone is harmless, and a deletion whose report was lost comes again."""
        with self._guard:
            entry = self._read(job.server_id)
            if entry.torn_down_by is None:
                self._write(entry.model_copy(update={"torn_down_by": job.pipeline}))

    def prune(self, older_than_s: float, now: float) -> int:
        """Forget servers untouched for that long; returns how many. It must be longer than the
        life of any message, or a late one is believed."""
        forgotten = 0
        for path in self._directory.glob("*.json"):
            with self._guard, suppress(FileNotFoundError):
                if path.stat().st_mtime < now - older_than_s:
                    path.unlink()
                    forgotten += 1
        return forgotten

    def _join(self, server_id: str) -> threading.Lock:
        with self._guard:
            lock, users = self._held.get(server_id, (threading.Lock(), 0))
            self._held[server_id] = (lock, users + 1)
            return lock

    def _leave(self, server_id: str) -> None:
        with self._guard:
            lock, users = self._held[server_id]
            if users == 1:
                del self._held[server_id]
            else:
                self._held[server_id] = (lock, users - 1)

    def _path(self, server_id: str) -> Path:
        return self._directory / f"{checked(server_id)}.json"

    def _read(self, server_id: str) -> Entry:
        path = self._path(server_id)
        try:
            return Entry.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Entry(server_id=server_id)
        except ValidationError as error:
            # Files are replaced whole, so this is not a torn write: an operator must look at it.
            raise HostError("The host's journal is damaged.", path=str(path)) from error

    def _write(self, entry: Entry) -> None:
        changed = entry.model_copy(update={"changed_at": self._now()})
        with replacing(self._path(entry.server_id)) as (file, _):
            file.write(json.dumps(changed.model_dump()).encode())


def _refusal(entry: Entry, job: Job) -> str | None:
    """Return why the job may not run, or None."""
    if entry.torn_down_by not in {None, job.pipeline}:
        return "The server was torn down on this host."
    if job.attempt <= entry.barred.get(job.run_id, 0):
        return "This attempt was unwound on this host."
    if job.run_id in entry.over:
        return "A newer run of this server has been here."
    if job.run_id == entry.run_id and job.attempt < entry.attempt:
        return "A newer attempt of this run has been here."
    return None


def _advanced(entry: Entry, job: Job) -> Entry:
    """Return the entry with the job as its newest."""
    changes: dict[str, object] = {"run_id": job.run_id, "attempt": job.attempt}
    if entry.run_id != job.run_id:
        changes["done_once"] = []
        if entry.run_id is not None:
            changes["over"] = [*entry.over, entry.run_id][-_REMEMBERED_RUNS:]
    return entry.model_copy(update=changes)


def _newest(barred: dict[str, int]) -> dict[str, int]:
    return dict(list(barred.items())[-_REMEMBERED_RUNS:])
