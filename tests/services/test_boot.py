"""What a server shows of its boot, before, during and after it, and how to reach it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import FixedAddress, Port, Server, Subnet
from app.db.models.base import new_id, now
from app.db.session import Sessions
from app.runs import checkpoint
from app.services import boot_views
from app.services.boot_views import BootView
from app.services.context import Caller, Context
from config.settings import ControlSettings
from tasks.errors import NotFound
from tasks.messages import BootProof, DomainRef, Failure, Job, ProofSeen, StageReport
from tests.publishers import NoPublisher
from tests.rows import make_settings, make_world
from tests.runs.test_checkpoint import begin_create

SETTINGS = make_settings()
V4, V6 = "10.9.0.10", "2001:db8::10"


class Scene:
    """A server with an address of each version, and the reports of its create."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions, self.world = sessions, make_world(sessions)
        self.job: Job = begin_create(sessions, self.world)
        self.started_at = now().timestamp()
        with sessions.begin() as session:
            port = Port(
                id=new_id(),
                project_id=self.world.project_id,
                network_id=self.world.network_id,
                server_id=self.job.server_id,
                mac="fa:16:3e:00:00:01",
            )
            six = Subnet(
                id=new_id(), network_id=self.world.network_id, version=6, cidr="2001:db8::/64"
            )
            session.add_all([port, six])
            session.flush()
            four = session.scalars(select(Subnet).where(Subnet.version == 4)).one()
            for subnet, address in ((four, V4), (six, V6)):
                held = FixedAddress(subnet_id=subnet.id, address=address, port_id=port.id)
                session.add(held)

    def report(self, stage: str, event: Any, **more: Any) -> None:
        """Have a worker's report arrive."""
        moment = now().timestamp()
        report = StageReport(
            job=self.job,
            stage=stage,
            event=event,
            worker="w",
            started_at=moment,
            at=moment,
            **more,
        )
        writers: dict[str, Callable[[Session, ControlSettings, StageReport], object]] = {
            "began": checkpoint.begin,
            "progress": checkpoint.progress,
            "finished": checkpoint.finish,
            "failed": checkpoint.fail,
        }
        with self.sessions.begin() as session:
            writers[event](session, SETTINGS, report)

    def launch(self) -> None:
        """Have everything before the look at its boot done."""
        for stage in ("validate", "schedule", "build_resources", "define_domain"):
            self.report(stage, "finished")
        domain = DomainRef(
            domain_id=self.job.server_id,
            ports=[],
            boot=BootProof(proof="address", limit_s=120, console_text=""),
            started_at=self.started_at,
        )
        self.report("launch", "finished", output=domain.model_dump())

    def seen(self, *addresses: str) -> dict[str, Any]:
        """Return a report that these were seen, and nothing of the agent."""
        return {
            "proofs": [
                ProofSeen(
                    proof="address",
                    state="seen",
                    after_s=3.5,
                    seen_at=self.started_at + 3.5,
                    detail=addresses[0],
                    addresses=list(addresses),
                ).model_dump(),
                ProofSeen(proof="agent", state="not_seen", detail="no answer").model_dump(),
            ]
        }

    def boot(self, project_id: str | None = None) -> BootView:
        """Return what its owner is shown."""
        caller = Caller("u", "u", project_id or self.world.project_id, "p", ("member",), "req-1")
        return boot_views.of_server(
            Context(self.sessions, SETTINGS, NoPublisher()), caller, self.job.server_id
        )

    def access(self) -> tuple[str, str]:
        """Return the addresses by which to reach it."""
        with self.sessions() as session:
            server = session.get_one(Server, self.job.server_id)
            return server.access_ipv4, server.access_ipv6


@pytest.fixture
def scene(sessions: Sessions) -> Scene:
    return Scene(sessions)


def states(view: BootView) -> dict[str, str]:
    return {proof.proof: proof.state for proof in view.proofs}


def test_before_the_launch_nothing_is_known(scene: Scene) -> None:
    view = scene.boot()
    assert (view.state, view.wanted, view.started_at, view.ended_at) == (
        "waiting",
        None,
        None,
        None,
    )
    assert set(states(view).values()) == {"unknown"}
    assert scene.access() == ("", "")


def test_what_was_seen_is_shown_while_it_boots(scene: Scene) -> None:
    scene.launch()
    scene.report("poll_boot", "began")
    scene.report("poll_boot", "progress", output=scene.seen(V4))

    view = scene.boot()
    assert (view.state, view.wanted, view.limit_s) == ("booting", "address", 120)
    assert view.started_at is not None
    assert view.started_at.timestamp() == pytest.approx(scene.started_at)
    assert view.ended_at is None
    assert states(view)["address"] == "seen"
    assert states(view)["agent"] == "not_seen"
    assert states(view)["first_boot"] == "unknown"
    assert scene.access() == (V4, "")


def test_a_guest_that_is_up_is_reached_by_the_addresses_that_were_seen(scene: Scene) -> None:
    scene.launch()
    scene.report("poll_boot", "finished", output=scene.seen(V4, V6))

    view = scene.boot()
    assert view.state == "up"
    assert view.ended_at is not None
    address = next(proof for proof in view.proofs if proof.proof == "address")
    assert (address.after_s, address.addresses) == (3.5, (V4, V6))
    assert scene.access() == (V4, V6)


def test_what_the_owner_named_stays(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        session.get_one(Server, scene.job.server_id).access_ipv4 = "192.0.2.7"
    scene.launch()
    scene.report("poll_boot", "finished", output=scene.seen(V4, V6))
    assert scene.access() == ("192.0.2.7", V6)


def test_an_address_that_is_not_the_servers_is_no_way_to_reach_it(scene: Scene) -> None:
    scene.launch()
    scene.report("poll_boot", "finished", output=scene.seen("10.9.0.99"))
    assert scene.access() == ("", "")


def test_a_boot_that_failed_keeps_what_was_seen(scene: Scene) -> None:
    scene.launch()
    scene.report("poll_boot", "began")
    scene.report("poll_boot", "progress", output=scene.seen(V4))
    failure = Failure(code="boot_timeout", fault="request", public="Not up.", console="")
    scene.report("poll_boot", "failed", failure=failure)

    view = scene.boot()
    assert (view.state, view.wanted) == ("failed", "address")
    assert states(view)["address"] == "seen"
    assert view.ended_at is not None


def test_others_are_told_of_no_such_server(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.boot(project_id=new_id())
