"""A network that changes under a guest that runs."""

import json
import subprocess
import uuid

import pytest

from tasks.messages import NetworkSpec, PortAddress, SubnetSpec
from tests.drivers.conftest import Rig
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.values import make_port
from workers.hypervisor import names
from workers.hypervisor.libvirt import links

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(180)]


def made() -> NetworkSpec:
    """Return a network of the test's own."""
    subnet = SubnetSpec(
        subnet_id=str(uuid.uuid4()),
        version=4,
        cidr="10.63.1.0/24",
        gateway="10.63.1.1",
        host_address="10.63.1.1",
    )
    return NetworkSpec(network_id=str(uuid.uuid4()), name="n", mtu=1400, subnets=[subnet])


def plugged(bridge: str) -> set[str]:
    """Return the interfaces that are plugged into a bridge."""
    words = ["ip", "-json", "link", "show", "master", bridge]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {each["ifname"] for each in json.loads(text or "[]") if each}


def filtered(interface: str) -> bool:
    """Say whether libvirt's filter stands between an interface and its bridge."""
    words = ["ebtables", "--concurrent", "-t", "nat", "-L"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return f"-i {interface} " in text


def stop(private_host: PrivateHost, network: NetworkSpec) -> None:
    """Stop a network, as somebody may by hand."""
    words = ["virsh", "-c", private_host.uri, "net-destroy", names.network_name(network.network_id)]
    subprocess.run(words, check=True, capture_output=True)


def test_a_running_guest_stays_plugged_and_filtered(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    spec, host, server = made(), libvirt_rig.host, libvirt_rig.server()
    address = PortAddress(
        subnet_id=spec.subnets[0].subnet_id, address="10.63.1.9", prefix_length=24
    )
    server.port = make_port(spec).model_copy(update={"addresses": [address]})
    host.ensure_port(spec, server.port, "web")
    host.ensure_image(server.image)
    root = host.ensure_root_disk(server.server_id, server.image, 1)
    host.define(server.job, server.spec([root]))
    host.start(server.server_id)
    bridge = names.bridge_name(spec.network_id)
    before = plugged(bridge)
    assert len(before) == 1
    assert filtered(*before)

    changed = spec.subnets[0].model_copy(update={"dns": ["192.0.2.53"]})
    host.ensure_network(spec.model_copy(update={"subnets": [changed]}))
    assert plugged(bridge) == before
    assert filtered(*before)

    stop(private_host, spec)
    assert not host.networks_intact([spec.network_id])
    host.ensure_network(spec)
    assert host.networks_intact([spec.network_id])
    assert plugged(bridge) == before
    # No firewall was asked for: security groups hold from the first packet on the new bridge.
    assert links.filtering(bridge)
    assert filtered(*before)

    # libvirtd finds the guest on its network again, and lets go of it in the end.
    private_host.kill_daemon()
    private_host.start_daemon()
    assert plugged(bridge) == before
    server.remove(host)
    assert plugged(bridge) == set()
    assert server.traces(host) == []
