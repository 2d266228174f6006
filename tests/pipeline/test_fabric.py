"""A change of security groups reaches the hosts that it concerns within seconds, over a real
broker, and until they say that they have carried it out. The hosts are played by the tests."""

import queue
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import select

from app.db.models import Hypervisor
from app.db.session import reading
from app.services import hypervisors, security_groups, server_security
from app.services.context import Caller, Context
from app.services.hypervisors import FabricView
from app.services.security_groups import NewGroup
from app.services.security_rules import NewRule
from config.celery import make_celery
from config.queues import FABRIC, compute_queue
from config.settings import ComputeSettings
from tasks.messages import Fabric, Heartbeat
from tasks.pipelines import COMPUTE_STAGES
from tests.pipeline.conftest import Plane
from tests.processes import wait_until
from tests.runs.test_fabric import put_on
from tests.tasks.values import make_inventory

#: Longer than a tick, and shorter than anything would take that only the sweep does.
SECONDS = 3.0


@dataclass
class PlayedHost:
    """A hypervisor's worker as the control side sees it."""

    celery: Celery
    name: str
    process: str = field(default_factory=lambda: uuid.uuid4().hex)

    def beat(self, fabric: int = 0) -> None:
        """Say that it lives, and what it has carried out."""
        heartbeat = Heartbeat(
            host=self.name,
            host_ip="192.0.2.1",
            worker=f"compute@{self.name}",
            process=self.process,
            sent_at=time.time(),
            inventory=make_inventory(),
            fabric=fabric,
        )
        self.celery.send_task("heartbeat", args=[heartbeat.model_dump()])

    def orders(self, limit_s: float) -> Iterator[Fabric]:
        """Take the orders from its queue, until none has come for so long."""
        with self.celery.connection_for_read() as connection:
            inbox = connection.SimpleQueue(compute_queue(self.name))
            while True:
                try:
                    message = inbox.get(timeout=limit_s)
                except queue.Empty:
                    return
                message.ack()
                if message.headers["task"] == FABRIC:
                    (order,), *_ = message.payload
                    yield Fabric.parse(order)

    def order(self, fits: Callable[[Fabric], bool], limit_s: float = SECONDS) -> Fabric:
        """Return the first order that fits."""
        for order in self.orders(limit_s):
            if fits(order):
                return order
        raise AssertionError(f"{self.name} was not told within {limit_s} s")


@dataclass
class Stage:
    """A plane with one played host, on which a server's port is in a group."""

    plane: Plane
    host: PlayedHost
    context: Context
    caller: Caller
    group_id: str

    def allow(self, port: int) -> None:
        """Let the world in at a port."""
        rule = NewRule(self.group_id, "ingress", protocol="tcp", port_min=port, port_max=port)
        security_groups.create_rules(self.context, self.caller, [rule])

    def catch_up(self) -> None:
        """Have the host carry out all that it is told, until nothing is left to tell."""

        def has_caught_up() -> bool:
            for order in self.host.orders(0.5):
                self.host.beat(order.revision)
            return not self.state().pending

        wait_until(has_caught_up, "the host to have carried out everything", 30)

    def state(self) -> FabricView:
        """Return what operators are told of the host."""
        (view,) = hypervisors.fabrics(self.context)
        return view


def ports_of(order: Fabric) -> set[int | None]:
    """Return the ports that an order opens."""
    return {rule.port_min for group in order.firewall.groups for rule in group.rules} - {None}


def opens(port: int) -> Callable[[Fabric], bool]:
    """Say whether an order opens a port."""
    return lambda order: port in ports_of(order)


@pytest.fixture
def stage(plane: Plane) -> Stage:
    celery = make_celery(
        ComputeSettings.model_validate({"broker_url": plane.byre.broker.url, "host": "played"}),
        "compute",
        COMPUTE_STAGES,
    )
    host = PlayedHost(celery, "played")
    host.beat()
    wait_until(lambda: plane.alive("played"), "the played host", 20)
    world = plane.world
    caller = Caller(world.user_id, "u", world.project_id, "p", ("member",), "req-1")
    context = Context(plane.sessions, plane.settings, plane.publisher)
    group = security_groups.create(context, caller, NewGroup(name="web"))
    with reading(plane.sessions) as session:
        host_id = session.scalars(select(Hypervisor.id)).one()
    put_on(plane.sessions, world, host_id, [group.id], "10.9.0.11")
    stage = Stage(plane, host, context, caller, group.id)
    # What the host is told at its first heartbeat is not what a test looks for.
    stage.catch_up()
    return stage


def test_rule_is_told_within_seconds_and_once(stage: Stage) -> None:
    stage.allow(22)

    order = stage.host.order(opens(22))
    stage.host.beat(order.revision)

    wait_until(lambda: not stage.state().pending, "the host's word", 20)
    assert list(stage.host.orders(7.0)) == []
    assert stage.state().carried_out == order.revision


def test_burst_of_rules_is_few_messages(stage: Stage) -> None:
    began = time.monotonic()
    for port in range(1, 91):
        stage.allow(port)
    took = time.monotonic() - began

    orders = list(stage.host.orders(SECONDS))

    assert ports_of(orders[-1]) == set(range(1, 91))
    # One a tick, while it went on, and the same again if it took longer than a host is given.
    assert len(orders) <= took / 0.3 + 4
    assert [order.revision for order in orders] == sorted(order.revision for order in orders)


def test_lost_message_is_sent_again(stage: Stage) -> None:
    stage.allow(22)
    lost = stage.host.order(opens(22))

    def again() -> list[Any]:
        stage.host.beat()
        return [order for order in stage.host.orders(0.5) if order.revision == lost.revision]

    wait_until(again, "the same message again", 20)


def test_worker_that_lost_its_memory_is_told_at_once(stage: Stage) -> None:
    stage.allow(22)
    order = stage.host.order(opens(22))
    stage.host.beat(order.revision)
    wait_until(lambda: not stage.state().pending, "the host's word", 20)

    reborn = PlayedHost(stage.host.celery, "played")
    reborn.beat()

    assert reborn.order(opens(22), limit_s=10.0).revision == order.revision


def test_change_is_carried_out_by_a_real_worker_within_seconds(plane: Plane) -> None:
    """From the API's use case to the heartbeat that says so, with nothing played."""
    world = plane.world
    caller = Caller(world.user_id, "u", world.project_id, "p", ("member",), "req-1")
    context = Context(plane.sessions, plane.settings, plane.publisher)
    security_groups.see_to_default(context, world.project_id)

    with plane.host("h1") as fake:
        run = plane.ended(plane.create())
        group = security_groups.create(context, caller, NewGroup(name="web"))
        server_security.add(context, caller, run.server_id, "web")
        rule = NewRule(group.id, "ingress", protocol="tcp", port_min=22, port_max=22)

        security_groups.create_rules(context, caller, [rule])

        def opened() -> bool:
            known = fake.firewall().groups.get(group.id)
            return known is not None and 22 in {each.port_min for each in known.rules}

        def told() -> bool:
            (state,) = hypervisors.fabrics(context)
            return not state.pending

        wait_until(opened, "the rule on the host", SECONDS)
        # Half a second between two heartbeats.
        wait_until(told, "the host's word that it was carried out", SECONDS)
