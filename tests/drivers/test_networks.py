"""Networks on a real host: what libvirt, the kernel and the packet filter make of a description."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tasks.errors import HostError
from tasks.messages import NetworkSpec, Overlay, PortAddress, PortSpec, Route, SubnetSpec
from tests.drivers.conftest import Rig
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.values import make_port
from workers.hypervisor import names
from workers.hypervisor.libvirt import links
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.network_xml import dhcp_entries, gateway_mac, network_xml
from workers.hypervisor.libvirt.networks import Networks
from workers.hypervisor.libvirt.overlay import Tunnels
from workers.hypervisor.libvirt.turns import Turns

UNDERLAY = "192.0.2.1"
PEERS = ["192.0.2.2", "192.0.2.3"]


def subnet(cidr: str, first: str, gateway: str | None = None, **more: Any) -> SubnetSpec:
    return SubnetSpec(
        subnet_id=str(uuid.uuid4()),
        version=6 if ":" in cidr else 4,
        cidr=cidr,
        gateway=gateway,
        host_address=first,
        **more,
    )


def network(*subnets: SubnetSpec, **more: Any) -> NetworkSpec:
    values = {"network_id": str(uuid.uuid4()), "name": "n", "mtu": 1400, "subnets": list(subnets)}
    return NetworkSpec(**{**values, **more})


@pytest.fixture
def host(libvirt_rig: Rig, private_host: PrivateHost) -> Iterator[PrivateHost]:
    """A libvirt host with an address for tunnels; networks and filters of the test are removed."""
    _ip("link", "add", "under0", "type", "bridge")
    _ip("address", "add", f"{UNDERLAY}/24", "dev", "under0")
    _ip("link", "set", "under0", "up")
    yield private_host
    handle = libvirt.open(private_host.uri)
    for each in handle.listAllNetworks(0):
        if each.name() in MADE:
            if each.isActive():
                each.destroy()
            each.undefine()
    for filtering in handle.listAllNWFilters(0):
        if filtering.name().startswith("byre-port-"):
            filtering.undefine()
    handle.close()
    MADE.clear()
    for link in _json("ip", "-json", "link", "show"):
        if link["ifname"].startswith(("byrx", "byrv", "byrw", "test-")):
            subprocess.run(["ip", "link", "delete", link["ifname"]], check=False)
    _ip("link", "delete", "under0")


MADE: set[str] = set()


@pytest.fixture
def networks(host: PrivateHost, tmp_path: Path) -> Networks:
    """The networks of that host."""
    keeper = Keeper(host.uri, 5.0)
    return Networks(keeper, Tunnels(UNDERLAY, Turns(tmp_path)), {"physnet1": "test-ext"})


def ensure(networks: Networks, spec: NetworkSpec) -> None:
    MADE.add(names.network_name(spec.network_id))
    networks.ensure_network(spec)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _json(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [each for each in found if each]


def link(name: str) -> dict[str, Any] | None:
    found = _json("ip", "-json", "-details", "link")
    return next((each for each in found if each["ifname"] == name), None)


def peers(spec: NetworkSpec) -> set[str]:
    entries = _json("bridge", "-json", "fdb", "show", "dev", names.tunnel_name(spec.network_id))
    return {e["dst"] for e in entries if e["mac"] == "00:00:00:00:00:00" and "dst" in e}


# --- descriptions -------------------------------------------------------------------------------


def test_a_guest_without_a_way_out_gets_a_route_to_its_metadata_and_no_router() -> None:
    described = network_xml(network(subnet("10.1.0.0/24", "10.1.0.1"), kind="isolated"))
    assert "<forward" not in described
    assert "dhcp-option=option:router" in described
    assert "classless-static-route,169.254.169.254/32,10.1.0.1" in described


def test_routes_repeat_the_default_one_for_clients_that_then_ignore_the_router() -> None:
    routes = [Route(destination="10.9.0.0/16", nexthop="10.1.0.7")]
    described = network_xml(network(subnet("10.1.0.0/24", "10.1.0.1", "10.1.0.1", routes=routes)))
    wanted = "169.254.169.254/32,10.1.0.1,10.9.0.0/16,10.1.0.7,0.0.0.0/0,10.1.0.1"
    assert f"classless-static-route,{wanted}" in described


@pytest.mark.parametrize(
    "route",
    [
        Route(destination="10.9.0.0/16,evil", nexthop="10.1.0.7"),
        Route(destination="10.9.0.0/16", nexthop="10.1.0.7\nno-resolv"),
    ],
)
def test_a_route_that_is_none_reaches_no_option(route: Route) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        network_xml(network(subnet("10.1.0.0/24", "10.1.0.1", routes=[route])))


def test_the_gateways_mac_is_the_same_on_every_host_and_nobody_elses() -> None:
    spec = network()
    mac = gateway_mac(spec.network_id)
    assert mac == gateway_mac(spec.network_id) != gateway_mac(network().network_id)
    first = int(mac[:2], 16)
    assert first & 0b11 == 0b10, "locally administered, unicast"


# --- on a host ----------------------------------------------------------------------------------


@pytest.mark.boots
def test_both_versions_are_answered_and_entries_go_again(networks: Networks) -> None:
    spec = network(
        subnet("10.61.1.0/24", "10.61.1.1", "10.61.1.1"),
        subnet("fd61:1::/64", "fd61:1::1", "fd61:1::1", dns=["fd61::53"]),
    )
    ensure(networks, spec)
    port = _dual(spec, "10.61.1.9", "fd61:1::9")

    networks.ensure_port(spec, port, "web")
    networks.ensure_port(spec, port, "web")
    assert {(e.mac, e.address) for e in _entries(networks, spec)} == {
        (port.mac, "10.61.1.9"),
        (port.mac, "fd61:1::9"),
    }
    networks.remove_ports([port])
    assert _entries(networks, spec) == []
    assert networks.traces(port) == []


def _dual(spec: NetworkSpec, *addresses: str) -> PortSpec:
    port = make_port(spec)
    held = [
        PortAddress(subnet_id=each.subnet_id, address=address, prefix_length=64)
        for each, address in zip(spec.subnets, addresses, strict=True)
    ]
    return port.model_copy(update={"addresses": held})


def _entries(networks: Networks, spec: NetworkSpec) -> list[Any]:
    found = networks._network(spec.network_id)
    assert found is not None
    return dhcp_entries(found.XMLDesc(0))


@pytest.mark.boots
def test_a_changed_network_is_carried_out_and_its_guests_stay_on_it(networks: Networks) -> None:
    spec = network(subnet("10.61.2.0/24", "10.61.2.1", "10.61.2.1"))
    ensure(networks, spec)
    port = make_port(spec).model_copy(
        update={
            "addresses": [
                PortAddress(
                    subnet_id=spec.subnets[0].subnet_id, address="10.61.2.9", prefix_length=24
                )
            ]
        }
    )
    networks.ensure_port(spec, port, "web")
    bridge = names.bridge_name(spec.network_id)
    _ip("link", "add", "test-tap", "type", "veth", "peer", "name", "test-guest")
    _ip("link", "set", "test-tap", "master", bridge, "up")
    _ip("link", "set", bridge, "type", "bridge", "nf_call_iptables", "1")

    more = subnet("10.61.3.0/24", "10.61.3.1")
    changed = spec.model_copy(update={"subnets": [*spec.subnets, more], "mtu": 1300})
    ensure(networks, changed)

    shown = link(bridge)
    assert shown is not None
    assert shown["mtu"] == 1300
    assert shown["address"] == gateway_mac(spec.network_id)
    assert shown["linkinfo"]["info_data"]["nf_call_iptables"] == 1
    plugged = link("test-tap")
    assert plugged is not None
    assert plugged["master"] == bridge
    assert [entry.address for entry in _entries(networks, spec)] == ["10.61.2.9"]


@pytest.mark.boots
def test_a_tunnel_has_its_peers_and_no_others(networks: Networks) -> None:
    spec = network(
        subnet("10.61.4.0/24", "10.61.4.1", "10.61.4.1"),
        overlay=Overlay(vni=4711, peers=[*PEERS, UNDERLAY, "127.0.0.1"]),
    )
    ensure(networks, spec)
    device = names.tunnel_name(spec.network_id)
    made = link(device)
    assert made is not None
    assert made["master"] == names.bridge_name(spec.network_id)
    assert made["linkinfo"]["info_data"]["id"] == 4711
    assert peers(spec) == set(PEERS)

    fewer = spec.model_copy(update={"overlay": Overlay(vni=4711, peers=PEERS[:1])})
    ensure(networks, fewer)
    assert peers(spec) == set(PEERS[:1])
    again = link(device)
    assert again is not None
    assert again["ifindex"] == made["ifindex"], "a change of peers must not cut the tunnel"
    command = ["nft", "list", "table", "inet", "byre_underlay"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert f"{PEERS[0]} . {4711:#x}" in shown
    assert PEERS[1] not in shown


def test_strangers_are_kept_out_before_there_is_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []

    def run(*words: str, given: str | None = None) -> str:
        done.append(" ".join(words) + (given or ""))
        return '{"nftables": []}' if "list" in words else ""

    monkeypatch.setattr(links, "run", run)
    monkeypatch.setattr(links, "read", lambda *_: [])
    monkeypatch.setattr(links, "link", lambda _: None)
    monkeypatch.setattr(links, "mtu_to", lambda _: 1500)
    spec = network(overlay=Overlay(vni=4711, peers=PEERS))
    Tunnels(UNDERLAY, Turns(tmp_path)).ensure(spec, "bridge")
    rules = next(i for i, each in enumerate(done) if f"{PEERS[0]} . 4711" in each)
    tunnel = next(i for i, each in enumerate(done) if each.startswith("ip link add"))
    assert rules < tunnel


@pytest.mark.boots
def test_a_network_too_large_for_the_tunnel_is_refused(networks: Networks) -> None:
    spec = network(subnet("10.61.5.0/24", "10.61.5.1"), mtu=1500, overlay=Overlay(vni=5))
    with pytest.raises(HostError, match="MTU of 1500 does not fit"):
        ensure(networks, spec)


@pytest.mark.boots
def test_a_deleted_networks_addresses_can_be_used_again(networks: Networks) -> None:
    old = network(subnet("10.61.6.0/24", "10.61.6.1"), overlay=Overlay(vni=6))
    ensure(networks, old)
    ensure(networks, network(subnet("10.61.6.0/24", "10.61.6.1"), overlay=Overlay(vni=7)))
    assert link(names.bridge_name(old.network_id)) is None
    assert link(names.tunnel_name(old.network_id)) is None


@pytest.mark.boots
def test_a_network_with_guests_does_not_make_room(networks: Networks) -> None:
    old = network(subnet("10.61.7.0/24", "10.61.7.1"))
    ensure(networks, old)
    _ip("link", "add", "test-tap", "type", "veth", "peer", "name", "test-guest")
    _ip("link", "set", "test-tap", "master", names.bridge_name(old.network_id), "up")
    with pytest.raises(HostError, match="still has guests"):
        ensure(networks, network(subnet("10.61.7.0/25", "10.61.7.1")))
    assert link(names.bridge_name(old.network_id)) is not None


@pytest.mark.boots
def test_a_provider_network_is_the_operators_bridge(networks: Networks) -> None:
    flat = network(kind="provider", physical_network="physnet1")
    with pytest.raises(HostError, match="bridge of a physical network is not there"):
        ensure(networks, flat)
    _ip("link", "add", "test-ext", "type", "bridge")
    ensure(networks, flat)
    ensure(networks, flat)
    found = networks._network(flat.network_id)
    assert found is not None
    assert found.bridgeName() == "test-ext"

    nowhere = network(kind="provider", physical_network="physnet9")
    with pytest.raises(HostError, match="does not have the network's physical network"):
        ensure(networks, nowhere)


@pytest.mark.boots
def test_a_provider_network_with_a_tag_is_a_vlan_on_the_operators_bridge(
    networks: Networks,
) -> None:
    _ip("link", "add", "test-ext", "type", "bridge")
    vlan = network(kind="provider", physical_network="physnet1", vlan=42)
    if not _has_vlans():
        # What an operator of such a host is told is worth a test, too.
        with pytest.raises(HostError, match="could not change its network") as refused:
            ensure(networks, vlan)
        assert "Unknown device type" in str(refused.value.facts)
        pytest.skip("this kernel has no VLAN interfaces (CONFIG_VLAN_8021Q)")
    ensure(networks, vlan)
    ensure(networks, vlan)
    tagged = link(names.vlan_link_name(vlan.network_id))
    assert tagged is not None
    assert tagged["link"] == "test-ext"
    assert tagged["linkinfo"]["info_data"]["id"] == 42
    assert tagged["master"] == names.vlan_bridge_name(vlan.network_id)


def _has_vlans() -> bool:
    command = ["ip", "link", "add", "link", "under0", "name", "test-vlan", "type", "vlan", "id"]
    return subprocess.run([*command, "7"], check=False, capture_output=True).returncode == 0
