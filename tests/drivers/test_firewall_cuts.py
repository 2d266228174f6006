"""Connections that the rules would not let begin now end, by real packets."""

import socket
import uuid

import pytest

from tasks.errors import HostError
from tests.drivers.namespaces import arrived, hears, run
from tests.drivers.sites import OPEN_OUT, TCP, UDP, Site, group, rule
from workers.hypervisor.libvirt.firewall import cuts

pytestmark = pytest.mark.lab


def test_a_removed_rule_cuts_what_it_allowed_and_nothing_else(site: Site) -> None:
    network = site.network()
    both = [rule("ingress", protocol=TCP, port_min=number) for number in (80, 81)]
    web = group(*both, *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    ends = {}
    for number in (80, 81):
        listener = server.serve(number)
        near = client.connect(server.addresses[0], number)
        far, _ = server.accept(listener)
        assert near is not None
        ends[number] = (near, far)
        near.send(b"before")
        assert hears(far, b"before")
    site.change(web, both[1], *OPEN_OUT)
    for near, far in ends.values():
        near.send(b"after")
        far.send(b"answer")
    # Not half of what was cut either: the side whose egress is open does not begin it anew.
    assert arrived(
        cut=lambda: hears(ends[80][1], b"after"),
        cut_answer=lambda: hears(ends[80][0], b"answer"),
        kept=lambda: hears(ends[81][1], b"after"),
        kept_answer=lambda: hears(ends[81][0], b"answer"),
    ) == {"kept", "kept_answer"}
    # Allowed again, it goes on.
    site.change(web, *both, *OPEN_OUT)
    assert hears(ends[80][1], b"after", 5)


def test_a_connection_is_cut_when_its_other_side_leaves_the_group(site: Site) -> None:
    network = site.network()
    friends = group(*OPEN_OUT)
    inner = group(rule("ingress", remote_group=friends.group_id), *OPEN_OUT)
    server, client = site.guest(network, inner), site.guest(network, friends)
    site.tell()
    listener = server.serve(80)
    near = client.connect(server.addresses[0], 80)
    far, _ = server.accept(listener)
    assert near is not None
    port = site.ports[client.name]
    other = group(*OPEN_OUT)
    site.groups[other.group_id] = other
    site.ports[client.name] = port.model_copy(update={"groups": [other.group_id]})
    site.tell()
    near.send(b"after")
    assert not hears(far, b"after")


def test_cutting_that_was_interrupted_is_done_with_the_next_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    listener = server.serve(80)
    near = client.connect(server.addresses[0], 80)
    assert near is not None
    far, _ = server.accept(listener)

    def killed(_: object) -> int:
        raise HostError("The worker ended here.")

    monkeypatch.setattr(cuts, "settle", killed)
    with pytest.raises(HostError):
        site.change(web, *OPEN_OUT)
    monkeypatch.undo()
    # The state as such does not change any more.
    site.tell()
    near.send(b"after")
    assert not hears(far, b"after")


def test_the_next_owner_of_an_address_does_not_inherit_connections(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=UDP, port_min=80))
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    assert client.sends(server.serve(80, socket.SOCK_DGRAM), server.addresses[0], 80)
    old = site.ports[server.name]
    assert server.addresses[0] in run("conntrack", "-L")
    site.rig.host.remove_ports(str(uuid.uuid4()), [old])
    assert server.addresses[0] not in run("conntrack", "-L")
