"""A host with its servers, as the tests of drift see it, and what it may say that it has."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.db.models import Allocation, Drift, FixedAddress, Hypervisor, Port, Run, Server, Subnet
from app.db.models.base import now
from app.db.session import Sessions
from app.services.drift import take_change, take_survey
from tasks.messages import DomainChange, DomainState, Survey, Thing, ThingKind, Tidy
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings(drift_grace_s=300, drift_quarantine_s=3600)

GRACE, KEPT = timedelta(seconds=301), timedelta(seconds=3601)

MINUTE = timedelta(minutes=1)

Found = list[tuple[str, str, str]]


class Scene:
    """A host with its servers, and what it says of itself."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.world: World = make_world(sessions)
        self.host = add_host(sessions, "h", process="p")
        self.clock = now() + MINUTE
        with sessions() as session:
            self.subnet = session.scalars(select(Subnet.id)).one()

    def server(self, *, run: str = "done", **facts: Any) -> str:
        """A server that is up here; its create ended an hour ago."""
        up = {"status": "ACTIVE", "vm_state": "active", "power_state": 1}
        with self.sessions.begin() as session:
            row = add_server(
                session, self.world, SETTINGS, **{**up, "hypervisor_id": self.host, **facts}
            )
            row.state, row.hypervisor_id = run, facts.get("hypervisor_id", self.host)
            row.finished_at = None if run == "running" else now() - timedelta(hours=1)
            session.flush()
            session.get_one(Server, row.server_id).task_state = None
            return row.server_id

    def port(self, server_id: str, number: int = 1) -> tuple[str, str]:
        """An interface of the server: its id and MAC."""
        port_id, mac = str(uuid.uuid4()), f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}"
        with self.sessions.begin() as session:
            session.add(
                Port(
                    id=port_id,
                    project_id=self.world.project_id,
                    network_id=self.world.network_id,
                    server_id=server_id,
                    position=0,
                    mac=mac,
                    addresses=[
                        FixedAddress(
                            subnet_id=self.subnet, address=f"10.9.{number // 256}.{number % 256}"
                        )
                    ],
                )
            )
        return port_id, mac

    def room(self, server_id: str) -> None:
        """The server holds room on the host."""
        with self.sessions.begin() as session:
            session.add(
                Allocation(
                    server_id=server_id,
                    hypervisor_id=self.host,
                    run_id="r",
                    attempt=1,
                    vcpus=1,
                    memory_mib=256,
                    disk_gib=1,
                )
            )
            host = session.get_one(Hypervisor, self.host)
            host.vcpus_used += 1
            host.memory_mib_used += 256
            host.disk_gib_used += 1

    def owe(self, server_id: str, pipeline: str, **facts: Any) -> None:
        """An open run of the server on the host."""
        later = now() + timedelta(hours=1)
        with self.sessions.begin() as session:
            session.add(
                Run(
                    **{
                        "server_id": server_id,
                        "pipeline": pipeline,
                        "hypervisor_id": self.host,
                        "lease_until": later,
                        "deadline": later,
                        "request_id": "r",
                        "user_id": self.world.user_id,
                        **facts,
                    }
                )
            )

    def look(self, *things: Thing, after: timedelta = timedelta(seconds=30)) -> Tidy | None:
        """So much later, the host tells what it has."""
        self.clock += after
        return take_survey(self.sessions, SETTINGS, self.survey(*things), self.clock)

    def survey(self, *things: Thing, at: datetime | None = None) -> Survey:
        taken_at = (at or self.clock).timestamp()
        return Survey(host="h", process="p", taken_at=taken_at, things=list(things))

    def tell(self, server: str, state: DomainState | None, **facts: Any) -> None:
        """The host tells that a domain changed."""
        change = {"host": "h", "server_id": server, "state": state, "at": now().timestamp()}
        take_change(self.sessions, DomainChange.parse({**change, **facts}), now())

    def rows(self) -> Found:
        with self.sessions() as session:
            found = session.scalars(select(Drift))
            return sorted((row.direction, row.kind, row.name) for row in found)

    def states(self) -> list[str]:
        with self.sessions() as session:
            return sorted(session.scalars(select(Drift.state)))

    def shown(self, server_id: str) -> tuple[str, str, int]:
        with self.sessions() as session:
            server = session.get_one(Server, server_id)
            return server.status, server.vm_state, server.power_state

    def change(self, kind: type[Any], key: str, **facts: Any) -> None:
        with self.sessions.begin() as session:
            for name, value in facts.items():
                setattr(session.get_one(kind, key), name, value)


def thing(kind: ThingKind, server_id: str, **facts: Any) -> Thing:
    """A thing that carries a server's id."""
    more = {"state": "running"} if kind == "domain" else {}
    return Thing(kind=kind, name=f"{server_id}.{kind}", server_id=server_id, **{**more, **facts})


def whole(server_id: str, state: DomainState = "running") -> list[Thing]:
    """All that a server without interfaces has on its host."""
    return [
        thing("domain", server_id, state=state),
        thing("disk", server_id),
        thing("config_drive", server_id),
    ]


def ends(port_id: str, mac: str) -> list[Thing]:
    """What an interface has on its host."""
    return [
        Thing(kind="dhcp_entry", name=f"{mac}@net", mac=mac),
        Thing(kind="filter", name=f"byre-port-{port_id}", port_id=port_id),
    ]


def stranger() -> str:
    """The id of a server that there never was."""
    return str(uuid.uuid4())


def strange_ends() -> list[Thing]:
    return ends(stranger(), "fa:16:3e:ff:ff:ff")
