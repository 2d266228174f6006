"""Networks as OpenStack's own SDK makes them, and servers on them, over the served API and workers
with the fake driver."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack.connection import Connection
from openstack.exceptions import BadRequestException, ConflictException, ResourceNotFound

from app.db.models import Base
from app.db.session import Sessions, make_engine, make_sessions
from app.services.bootstrap import FirstNetwork, bootstrap
from tests.processes import Byre, RedisServer, wait_until
from tests.rows import make_settings, make_world


@dataclass
class Cloud:
    """A running cloud, its user and its operator."""

    user: Connection
    admin: Connection
    image_id: str

    def create(self, *networks: dict[str, str]) -> Any:
        """Make a server on these networks; return it when it is up."""
        made = self.user.compute.create_server(
            name="web", flavor_id="42", image_id=self.image_id, networks=list(networks)
        )
        return self.user.compute.wait_for_server(made, interval=0.2, wait=60)

    def delete(self, server: Any) -> None:
        """Delete a server; returns when it is gone."""
        self.user.compute.delete_server(server)
        self.user.compute.wait_for_delete(server, interval=0.2, wait=60)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory: Path = tmp_path_factory.mktemp("cloud")
    url = f"sqlite:///{directory}/byre.db"
    engine = make_engine(url)
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine)
    broker = RedisServer(directory)
    byre = Byre(directory, url, broker)
    broker.start()
    try:
        image_id = _fill(sessions)
        byre.start_control(BYRE_ADDRESS_REST_S="0")
        for host in ("h1", "h2"):
            program = byre.start_compute(host)
            wait_until(partial(program.says, "ready."), host)
        user, admin = (_connect(byre, name) for name in ("demo", "admin"))
        yield Cloud(user, admin, image_id)
    finally:
        byre.stop()
        broker.stop()
        engine.dispose()


def _fill(sessions: Sessions) -> str:
    network = FirstNetwork("private", "10.77.0.0/24", ())
    bootstrap(sessions, make_settings(), network, admin_password="p", demo_password="p")
    return make_world(sessions).image_id


def _connect(byre: Byre, name: str) -> Connection:
    return openstack.connect(
        auth_url=f"{byre.api_url}/identity/v3",
        username=name,
        password="p",
        project_name=name,
        user_domain_id="default",
        project_domain_id="default",
        region_name="RegionOne",
    )


def test_network_subnet_port_and_server_of_ones_own(cloud: Cloud) -> None:
    network = cloud.user.network.create_network(name="mine", description="for tests")
    v4 = cloud.user.network.create_subnet(
        network_id=network.id, ip_version=4, cidr="10.80.0.0/24", dns_nameservers=["9.9.9.9"]
    )
    v6 = cloud.user.network.create_subnet(
        network_id=network.id,
        ip_version=6,
        cidr="fd00:80::/64",
        ipv6_address_mode="dhcpv6-stateful",
        ipv6_ra_mode="dhcpv6-stateful",
    )
    port = cloud.user.network.create_port(network_id=network.id, name="first")
    assert {held["subnet_id"] for held in port.fixed_ips} == {v4.id, v6.id}

    server = cloud.create(
        {"port": port.id}, {"uuid": network.id, "fixed_ip": "10.80.0.99"}, {"uuid": network.id}
    )

    shown = sorted(entry["addr"] for entry in server.addresses["mine"])
    assert shown == ["10.80.0.2", "10.80.0.3", "10.80.0.99", "fd00:80::2", "fd00:80::3"]
    interfaces = list(cloud.user.compute.server_interfaces(server))
    assert interfaces[0].port_id == port.id
    assert [len(each.fixed_ips) for each in interfaces] == [2, 1, 2]
    assert len(list(cloud.user.network.ports(device_id=server.id))) == 3
    bound = cloud.admin.network.get_port(port.id)
    assert (bound.binding_host_id in ("h1", "h2"), bound.status) == (True, "ACTIVE")
    with pytest.raises(ConflictException):
        cloud.user.network.delete_network(network)
    with pytest.raises(ConflictException):
        cloud.user.network.delete_port(port)

    cloud.delete(server)
    wait_until(lambda: cloud.user.network.get_port(port.id).device_id == "", "the port", 30)
    (left,) = cloud.user.network.ports(network_id=network.id)
    assert (left.id, left.fixed_ips) == (port.id, port.fixed_ips)
    cloud.user.network.delete_port(port)
    cloud.user.network.delete_subnet(v6)
    cloud.user.network.delete_network(network)
    with pytest.raises(ResourceNotFound):
        cloud.user.network.get_subnet(v4.id)


def test_things_are_changed_and_found_again(cloud: Cloud) -> None:
    network = cloud.user.network.create_network(name="found")
    cloud.user.network.update_network(network, description="other", mtu=1400)
    cloud.user.network.set_tags(network, ["a", "b"])

    found = cloud.user.network.find_network("found")
    assert found is not None
    assert (found.description, found.mtu, found.tags) == ("other", 1400, ["a", "b"])
    assert found.revision_number == 2
    assert [each.id for each in cloud.user.network.networks(tags="a")] == [network.id]
    assert list(cloud.user.network.networks(name="found", is_shared=True)) == []
    quota = cloud.user.network.get_quota(str(cloud.user.current_project_id))
    assert (quota.networks, quota.ports) == (100, 500)
    assert cloud.user.network.find_extension("port-security") is not None
    with pytest.raises(BadRequestException, match="not supported"):
        cloud.user.network.create_subnet(
            network_id=network.id, ip_version=6, cidr="fd00:81::/64", ipv6_ra_mode="slaac"
        )
    cloud.user.network.delete_network(network)


def test_host_without_the_physical_network_gets_no_server_of_it(cloud: Cloud) -> None:
    network = cloud.admin.network.create_network(
        name="lan",
        shared=True,
        provider_network_type="vlan",
        provider_physical_network="lan",
        provider_segmentation_id=7,
    )
    cloud.admin.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.82.0.0/24")
    server = cloud.user.compute.create_server(
        name="web", flavor_id="42", image_id=cloud.image_id, networks=[{"uuid": network.id}]
    )

    def failed() -> Any:
        found = cloud.user.compute.get_server(server)
        return found if found.status == "ERROR" else None

    wait_until(failed, "the refusal", 30)
    assert "2 without the physical network that is asked for" in failed().fault["message"]
    cloud.delete(server)
    cloud.admin.network.delete_network(network)
