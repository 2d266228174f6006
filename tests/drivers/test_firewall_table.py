"""The host's table of rules by real packets: lost, changed, told late, gone with the last port."""

import json
import uuid
from collections.abc import Callable

import pytest

from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import run
from tests.drivers.sites import OPEN_OUT, TCP, Site, group, rule
from workers.hypervisor.libvirt.firewall.kernel import marker
from workers.hypervisor.names import bridge_name

pytestmark = pytest.mark.lab


def has_table() -> bool:
    """Say whether the host has our table."""
    told = json.loads(run("nft", "-j", "list", "tables"))["nftables"]
    return any(one.get("table", {}).get("name") == "byre_firewall" for one in told)


def test_an_older_revision_changes_nothing_but_brings_new_ports(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    site.change(web, *OPEN_OUT)
    site.groups[web.group_id] = web
    site.tell(revision=1)
    assert not client.reaches(server.addresses[0], 80)


def test_a_flushed_table_is_noticed_and_comes_back(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    server.serve(81)
    host = site.rig.host
    spoil: list[Callable[[], str]] = [
        lambda: run("nft", "delete", "table", "inet", "byre_firewall"),
        lambda: run(
            "ip", "link", "set", "dev", bridge_name(network.network_id),
            "type", "bridge", "nf_call_iptables", "0",
        ),
    ]  # fmt: skip
    for spoiled in spoil:
        assert host.firewall_intact()
        spoiled()
        assert not host.firewall_intact()
        assert client.reaches(server.addresses[0], 81)
        host.restore_firewall()
        assert host.firewall_intact()
        assert not client.reaches(server.addresses[0], 81)


def test_the_next_process_knows_what_was_told(site: Site) -> None:
    network = site.network()
    server = site.guest(network, group(*OPEN_OUT))
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    again = site.rig.reopen()
    assert again.firewall_intact()
    run("nft", "delete", "table", "inet", "byre_firewall")
    again.restore_firewall()
    assert not client.reaches(server.addresses[0], 80)


def test_a_table_that_somebody_changed_is_made_anew(site: Site, private_host: PrivateHost) -> None:
    network = site.network()
    server, client = site.guest(network, group(*OPEN_OUT)), site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    run("nft", "flush", "table", "inet", "byre_firewall")
    run("nft", "delete", "chain", "inet", "byre_firewall", str(marker()))
    site.tell(client.name)
    assert not client.reaches(server.addresses[0], 80)


def test_the_last_port_takes_the_table_with_it(site: Site, private_host: PrivateHost) -> None:
    site.guest(site.network(), group(*OPEN_OUT))
    assert has_table()
    site.rig.host.remove_ports(str(uuid.uuid4()), list(site.ports.values()))
    assert not has_table()
