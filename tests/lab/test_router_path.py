"""A router between two networks whose guests are on different hosts, by real packets."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tasks.messages import (
    FirewallSpec,
    GroupSpec,
    NetworkSpec,
    PortSpec,
    RemoteAddress,
    RoutedSubnet,
    RouterSpec,
    RoutingSpec,
)
from tests.drivers.namespaces import arrived
from tests.drivers.sites import OPEN_IN, OPEN_OUT, group
from tests.lab.bridge import UNDERLAY
from tests.lab.plugged import Plugged
from tests.lab.test_data_path import (
    HEADERS_V4,
    MTU,
    Site,
    addresses,
    for_host,
    network,
    port_of,
    sites,
)
from workers.hypervisor import names

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(300)]

__all__ = ["sites"]


@dataclass
class Routed:
    """Two networks on both hosts, and a guest of each, on different hosts."""

    sites: tuple[Site, Site]
    networks: tuple[NetworkSpec, NetworkSpec]
    guests: tuple[Plugged, Plugged]
    opened: GroupSpec
    revision: int = 0

    def tell(self, *routers: RouterSpec) -> None:
        """Tell both hosts what there is, as the control plane does."""
        self.revision += 1
        for at, site in enumerate(self.sites):
            own, other = self.guests[at].port, self.guests[1 - at].port
            firewall = FirewallSpec(
                revision=self.revision,
                groups=[self.opened],
                routing=RoutingSpec(
                    routers=list(routers), remotes=remotes(other, self.sites[1 - at].address)
                ),
            )
            for spec in self.networks:
                site.ensure(for_host(spec, site, self.sites))
            site.do(lambda: site.driver.update_firewall(firewall, [own]))  # noqa: B023


def remotes(port: PortSpec, host_ip: str) -> list[RemoteAddress]:
    """Return where a port is that another host has."""
    return [
        RemoteAddress(
            network_id=port.network_id, address=held.address, mac=port.mac, host_ip=host_ip
        )
        for held in port.addresses
    ]


def router(*networks: NetworkSpec) -> RouterSpec:
    """Return a router on all subnets of these networks."""
    return RouterSpec(
        router_id="00000000-0000-4000-8000-00000000ee01",
        subnets=[
            RoutedSubnet(network_id=spec.network_id, cidr=subnet.cidr)
            for spec in networks
            for subnet in spec.subnets
        ],
        world=False,
    )


@pytest.fixture
def routed(sites: tuple[Site, Site]) -> Iterator[Routed]:
    """Networks on both hosts, and a guest on each of them."""
    opened = group(*OPEN_IN, *OPEN_OUT)
    networks = (network(7, 7007), network(8, 7008))
    with ExitStack() as undo:
        guests = []
        for at, (site, spec) in enumerate(zip(sites, networks, strict=True)):
            port = port_of(spec, 31 + at).model_copy(update={"groups": [opened.group_id]})
            told = for_host(spec, site, sites)
            site.do(lambda: site.driver.ensure_port(told, port, "guest"))  # noqa: B023
            made = Plugged(site.private, names.bridge_name(spec.network_id), port, spec.mtu)
            undo.callback(made.remove)
            for held, subnet in zip(port.addresses, spec.subnets, strict=True):
                made.take(f"{held.address}/{held.prefix_length}")
                made.route("default", "via", str(subnet.gateway))
            guests.append(made)
        yield Routed(sites, networks, (guests[0], guests[1]), opened)


def test_router_leads_to_guests_of_other_hosts(routed: Routed) -> None:
    first, second = routed.guests
    routed.tell()
    assert not first.reaches(addresses(second)[0])

    routed.tell(router(*routed.networks))

    for here, there in ((first, second), (second, first)):
        assert [here.reaches(address) for address in addresses(there)] == [True, True]
    assert first.reaches(addresses(second)[0], size=MTU - HEADERS_V4)
    # The router has no gateway.
    assert not first.reaches(UNDERLAY)
    routed.tell()
    assert arrived(
        out=lambda: first.reaches(UNDERLAY), routed=lambda: first.reaches(addresses(second)[0])
    ) == {"out"}
