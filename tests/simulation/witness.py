"""What must hold at every step: looked at before each effect on a machine and after each commit."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.settings import ControlSettings
from tasks.pipelines import ACTIONS, CREATE, OFFLOAD, REMOVALS, RESIZES, UNWIND, VACATE
from tests.simulation.hosts import Machine
from tests.simulation.plane import QUOTA_SERVERS, Database
from tests.simulation.scene import Scene

_MAKES = frozenset(
    {
        *("ensure_root_disk", "ensure_config_drive", "ensure_port", "define", "start"),
        *("keep_disks", "restore_disks", "drop_disks", "reshape_disks", "fetch_disk"),
    }
)
_POWER = frozenset({"start", "shut_down", "cut_power", "pause", "suspend"})
_ROOM = """
SELECT name, vcpus * ? - vcpus_used, memory_mib - ? - memory_mib_used, disk_gib - disk_gib_used
FROM hypervisors
"""
_DELETED = "SELECT id FROM servers WHERE status = 'DELETED'"
_PLACES = """
SELECT servers.id, hypervisors.name, servers.memory_mib
FROM servers LEFT JOIN hypervisors ON hypervisors.id = servers.hypervisor_id
"""
#: Where a server was from which it is led away because nobody answers there.
_EVACUATED = (
    "SELECT server_id, source FROM migrations WHERE kind = 'evacuation' AND settled_at IS NULL"
)
_OWED = f"""
SELECT runs.server_id, hypervisors.name
FROM runs JOIN hypervisors ON hypervisors.id = runs.hypervisor_id
WHERE runs.state = 'running' AND runs.pipeline IN ({", ".join(f"'{p}'" for p in sorted(REMOVALS))})
"""  # noqa: S608 - these are names of our own
_REMOVES = frozenset({"remove_domain", "remove_disks", "remove_ports"})


@dataclass
class _Seen:
    """Whose effects one machine has seen for one server."""

    #: run id -> the highest attempt that made something, and that was undone.
    made: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    undone: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    torn_down: bool = False
    #: Runs of actions, in the order of their first effect.
    acted: list[str] = field(default_factory=list)


class Witness:
    """Sees every effect. What must never be is told to the scene as a breach."""

    def __init__(self, scene: Scene, database: Database, machines: Mapping[str, Machine]) -> None:
        self._scene, self._database, self._machines = scene, database, machines
        self._settings: ControlSettings = database.settings("witness")
        self._seen: dict[tuple[str, str], _Seen] = defaultdict(_Seen)
        self._deleted: set[str] = set()
        # It looks after each step, so by the shortest way: a connection of its own, and plain SQL.
        self._rows = sqlite3.connect(database.path, isolation_level=None)

    def effect(
        self, machine: Machine, verb: str, message: dict[str, Any], args: tuple[Any, ...]
    ) -> None:
        """Called before each verb: no superseded stage may have an effect."""
        job = message.get("job")
        if job is None or verb not in _MAKES | _REMOVES | _POWER:
            return
        self._scene.dirty = True
        seen = self._seen[machine.name, job["server_id"]]
        told = f"{machine.name}: {verb} of {job['pipeline']} {job['run_id']}/{job['attempt']}"
        if job["pipeline"] == CREATE:
            self._made(seen, job["run_id"], job["attempt"], told)
        elif job["pipeline"] in ACTIONS | RESIZES:
            self._acted(seen, job["run_id"], job["attempt"], told)
        elif job["pipeline"] == UNWIND:
            undone = job["undoes"]
            if seen.made[undone["run_id"]] > undone["attempt"]:
                self._scene.breach(f"{told} takes away what a newer attempt made")
            seen.undone[undone["run_id"]] = max(seen.undone[undone["run_id"]], undone["attempt"])
        elif job["pipeline"] in (OFFLOAD, VACATE):
            # The server may come back here; what is older than this must not.
            self._acted(seen, job["run_id"], job["attempt"], told)
        else:
            seen.torn_down = True

    def _made(self, seen: _Seen, run_id: str, attempt: int, told: str) -> None:
        if attempt < seen.made[run_id]:
            self._scene.breach(f"{told} after a newer attempt's")
        if attempt <= seen.undone[run_id]:
            self._scene.breach(f"{told} after it was undone")
        if seen.torn_down:
            self._scene.breach(f"{told} after the server was torn down")
        seen.made[run_id] = max(seen.made[run_id], attempt)

    def _acted(self, seen: _Seen, run_id: str, attempt: int, told: str) -> None:
        self._made(seen, run_id, attempt, told)
        if run_id not in seen.acted:
            seen.acted.append(run_id)
        elif seen.acted[-1] != run_id:
            self._scene.breach(f"{told} after a newer run's")

    def look(self) -> None:
        """Called after each step that wrote something."""
        self._nothing_overcommitted()
        self._deleted_stay_deleted()
        self._each_runs_where_it_should()

    def close(self) -> None:
        """Let go of the database."""
        self._rows.close()

    def _nothing_overcommitted(self) -> None:
        [(count,)] = self._rows.execute("SELECT count(*) FROM servers WHERE deleted_at IS NULL")
        if count > QUOTA_SERVERS:
            self._scene.breach(f"the project has {count} servers")
        overcommit, reserved = (
            self._settings.cpu_overcommit,
            self._settings.host_reserved_memory_mib,
        )
        for name, *room in self._rows.execute(_ROOM, (overcommit, reserved)):
            if min(room) < 0:
                self._scene.breach(f"{name} is promised beyond what it has: {room}")

    def _deleted_stay_deleted(self) -> None:
        gone = {row[0] for row in self._rows.execute(_DELETED)}
        if back := self._deleted - gone:
            self._scene.breach(f"deleted servers came back: {sorted(back)}")
        self._deleted = gone

    def _each_runs_where_it_should(self) -> None:
        """A running domain is on its server's host, or its removal from where it is, is owed."""
        places, sizes = {}, {}
        for server_id, host, memory_mib in self._rows.execute(_PLACES):
            places[server_id], sizes[server_id] = host, memory_mib
        leaving = {*self._rows.execute(_OWED), *self._rows.execute(_EVACUATED)}
        for machine in self._machines.values():
            running = machine.running() & places.keys()
            for server_id in sorted(running):
                if places[server_id] != machine.name and (server_id, machine.name) not in leaving:
                    self._scene.breach(f"server {server_id} runs on {machine.name}, unowed")
            room = machine.fake.memory_mib - self._settings.host_reserved_memory_mib
            if sum(sizes[server_id] for server_id in running) > room:
                self._scene.breach(f"{machine.name} runs more than it has memory for")
