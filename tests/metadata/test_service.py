"""The metadata service over real HTTP: each guest is told its own, and nobody another's."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.messages import NetworkSpec
from tests.metadata.host import Guest, MetadataHost, make_network
from workers.metadata.server import CONNECTION_LIMIT_S, MAX_HEADER_BYTES

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

META = "/openstack/latest/meta_data.json"
HOME = "/byre/v1/phone-home/"
NOTHING = (404, b"")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataHost]:
    """A host with the service."""
    made = MetadataHost(tmp_path_factory.mktemp("metadata"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def network() -> NetworkSpec:
    """The network that most guests are on."""
    return make_network("10.188.0.0/24")


@pytest.fixture(scope="module")
def guest(host: MetadataHost, network: NetworkSpec) -> Guest:
    """A guest with keys and user data."""
    return host.add(
        network, 10, hostname="mine", user_data="IyEvYmluL3NoCg==", instance_type="m1.tiny",
        public_keys={"me/you\n1=x": "ssh-ed25519 AAAA me"},
        files=[{"path": "/etc/motd", "contents": "aGVsbG8="}],
    )  # fmt: skip


@pytest.fixture(scope="module")
def other(host: MetadataHost, network: NetworkSpec) -> Guest:
    """Another one beside it."""
    return host.add(network, 11, hostname="other", admin_pass="s3cret")


@pytest.fixture(scope="module")
def stranger(host: MetadataHost) -> Guest:
    """A guest on another network."""
    return host.add(make_network("10.189.0.0/24"), 10, hostname="stranger")


def test_each_guest_is_told_its_own(guest: Guest, other: Guest, stranger: Guest) -> None:
    for each in (guest, other, stranger):
        assert each.meta()["uuid"] == each.server_id
        assert each.get("/latest/meta-data/instance-id") == f"i-{each.server_id[:8]}"
    assert "admin_pass" not in guest.meta()
    assert other.meta()["admin_pass"] == "s3cret"


def test_openstacks_tree(guest: Guest, other: Guest) -> None:
    versions = guest.get("/openstack").split("\n")
    assert (versions[-1], "2018-08-27" in versions) == ("latest", True)
    for version in versions:
        names = guest.get(f"/openstack/{version}/").split("\n")
        assert names == [
            "meta_data.json", "network_data.json",
            *([] if version == "2012-08-10" else ["password"]),
            "user_data", "vendor_data.json", "vendor_data2.json",
        ]  # fmt: skip
        for name in names:
            assert guest.get(f"/openstack/{version}/{name}") == guest.get(
                f"/openstack/latest/{name}"
            )
    assert guest.get("/openstack/latest/user_data") == "#!/bin/sh\n"
    assert other.curl("/openstack/latest/user_data") == NOTHING
    assert guest.meta()["files"] == [{"content_path": "/content/0000", "path": "/etc/motd"}]
    assert guest.get("/openstack/content/0000") == "hello"
    assert other.curl("/openstack/content/0000") == NOTHING
    assert guest.curl("/openstack/1999-01-01/meta_data.json") == NOTHING
    assert guest.curl("/openstack/2012-08-10/password") == NOTHING


def test_a_guest_posts_its_password_once(host: MetadataHost, guest: Guest, other: Guest) -> None:
    page = "/openstack/latest/password"

    def post(text: bytes, of: Guest = guest, where: str = page) -> int:
        body = host.log.with_name("body")
        body.write_bytes(text)
        return of.curl(where, "--data-binary", f"@{body}")[0]

    assert guest.get(page) == ""
    for nothing in (b"", b"x" * 1021, b"a\0b", "é".encode()):
        assert post(nothing) == 400
    assert guest.curl(page, "-X", "DELETE")[0] == 400
    assert post(b"c2VjcmV0\r\n", where="/openstack/2013-04-04/password") == 200
    assert post(b"another") == 409
    assert (guest.get(page), other.get(page)) == ("c2VjcmV0\r\n", "")
    assert post(b"x" * 1020, of=other) == 200
    assert host.store.passwords() == {
        guest.server_id: "c2VjcmV0\r\n",
        other.server_id: "x" * 1020,
    }


def test_floating_ips_are_told_as_they_are_now(
    host: MetadataHost, guest: Guest, other: Guest
) -> None:
    page = "/latest/meta-data/public-ipv4"
    mac = guest.data.ports[0].mac
    assert guest.curl(page) == NOTHING
    host.give_floating(guest, "203.0.113.7", "203.0.113.8")
    assert guest.get(page) == "203.0.113.7"
    interface = f"/2009-04-04/meta-data/network/interfaces/macs/{mac}"
    assert guest.get(f"{interface}/public-ipv4s") == "203.0.113.7\n203.0.113.8"
    assert other.curl(page) == NOTHING
    host.give_floating(guest)
    assert guest.curl(page) == NOTHING


def crawl(guest: Guest, path: str) -> dict[str, str]:
    """Read all below a directory as EC2's readers do (cloud-init, cloudbase-init, facter)."""
    found = {}
    for name in filter(None, guest.get(path).split("\n")):
        if path.endswith("public-keys/"):
            number, _, _ = name.partition("=")
            found.update(crawl(guest, f"{path}{number}/"))
        elif name.endswith("/") or name == "public-keys":
            found.update(crawl(guest, f"{path}{name.rstrip('/')}/"))
        else:
            found[path + name] = guest.get(path + name)
    return found


def test_ec2s_tree(guest: Guest) -> None:
    assert guest.get("/").split("\n") == ["2009-04-04", "latest"]
    assert guest.get("/latest/").split("\n") == ["dynamic/", "meta-data/", "user-data"]
    for version in ("2009-04-04", "latest"):
        below = f"/{version}/meta-data/"
        mac = guest.data.ports[0].mac
        assert crawl(guest, below) == {
            f"{below}ami-launch-index": "0",
            f"{below}hostname": "mine",
            f"{below}instance-action": "none",
            f"{below}instance-id": f"i-{guest.server_id[:8]}",
            f"{below}instance-type": "m1.tiny",
            f"{below}local-hostname": "mine",
            f"{below}local-ipv4": guest.address,
            f"{below}mac": mac,
            f"{below}network/interfaces/macs/{mac}/device-number": "0",
            f"{below}network/interfaces/macs/{mac}/local-ipv4s": guest.address,
            f"{below}network/interfaces/macs/{mac}/mac": mac,
            f"{below}placement/availability-zone": "nova",
            f"{below}public-hostname": "mine",
            f"{below}public-keys/0/openssh-key": "ssh-ed25519 AAAA me",
            f"{below}reservation-id": f"r-{guest.server_id[:8]}",
        }
    assert guest.get("/latest/user-data") == "#!/bin/sh\n"
    assert guest.get("/latest/meta-data/public-keys/") == "0=me_you_1_x"
    document = json.loads(guest.get("/latest/dynamic/instance-identity/document"))
    assert document["privateIp"] == guest.address


# --- nobody another's ----------------------------------------------------------------------------

RELAYED = [
    "X-Forwarded-For: 10.188.0.11", "x-forwarded-host: a", "X-Forwarded-Proto: http",
    "Forwarded: for=10.188.0.11", "Via: 1.1 proxy", "X-Real-IP: 10.188.0.11",
    "Client-IP: 10.188.0.11", "Host: metadata.attacker.example", "Host: 169.254.169.254.nip.io",
    "Host: 169.254.169.254:8775", "Host: localhost", "Host:  ",
]  # fmt: skip


@pytest.mark.parametrize("header", RELAYED)
def test_what_comes_through_somebody_else_is_told_nothing(guest: Guest, header: str) -> None:
    assert guest.curl(META, "-H", header.replace("Host:  ", "Host;")) == NOTHING


@pytest.mark.parametrize(
    "path",
    ["/openstack/../../../etc/passwd", "/openstack/%2e%2e/",
     "/latest/meta-data/%00", "/latest/meta-data/\u00e9", "/OpenStack/latest/", "/latest/api/token",
     "/byre/v1/phone-home/", "/openstack/latest/meta_data.json/x"],
)  # fmt: skip
def test_other_paths_lead_nowhere(guest: Guest, path: str) -> None:
    assert guest.curl(path) == NOTHING


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_can_be_written(guest: Guest, method: str) -> None:
    assert guest.curl(META, "-X", method) == NOTHING
    assert guest.curl("/latest/api/token", "-X", method) == NOTHING


def test_an_address_that_no_server_has_is_told_nothing(
    host: MetadataHost, network: NetworkSpec
) -> None:
    guest = host.add(network, 40)
    host.store.remove(guest.server_id)
    assert guest.curl(META) == NOTHING


def test_the_same_address_on_another_bridge_is_told_nothing(
    host: MetadataHost, guest: Guest, stranger: Guest
) -> None:
    """A network beside it, whose guest takes the other's address; the host even routes it there."""
    stranger.ip("address", "add", f"{guest.address}/32", "dev", "eth0")
    bridge = f"byre{stranger.data.ports[0].network_id[:8]}"
    host.ip("route", "add", f"{guest.address}/32", "dev", bridge)
    try:
        assert stranger.curl(META, "--interface", guest.address) == NOTHING
    finally:
        host.ip("route", "delete", f"{guest.address}/32", "dev", bridge)
        stranger.ip("address", "delete", f"{guest.address}/32", "dev", "eth0")
    assert stranger.meta()["uuid"] == stranger.server_id


@pytest.mark.parametrize("takes", ["address", "address of one that is up", "address and MAC"])
def test_a_neighbour_that_takes_address_and_mac_is_told_nothing(
    host: MetadataHost, network: NetworkSpec, takes: str
) -> None:
    """Port security off: nothing but the service itself tells the two apart."""
    number = 50 + len(takes)
    victim, thief = host.add(network, number), host.add(network, number + 1)
    assert victim.meta()["uuid"] == victim.server_id
    if takes == "address of one that is up":
        victim.ip("address", "flush", "dev", "eth0")
    else:
        victim.ip("link", "set", "eth0", "down")
    thief.ip("address", "flush", "dev", "eth0")
    if takes == "address and MAC":
        thief.ip("link", "set", "eth0", "down")
        thief.ip("link", "set", "eth0", "address", victim.data.ports[0].mac)
        thief.ip("link", "set", "eth0", "up")
    thief.ip("address", "add", f"{victim.address}/24", "dev", "eth0")
    thief.ip("route", "replace", "default", "via", str(network.subnets[0].host_address))
    host.ip("neighbour", "flush", "all")
    assert thief.curl(META) == NOTHING


def test_data_goes_and_comes_with_the_server(host: MetadataHost, network: NetworkSpec) -> None:
    guest = host.add(network, 60)
    assert guest.curl(META)[0] == 200
    host.store.remove(guest.server_id)
    assert guest.curl(META) == NOTHING
    host.store.keep(guest.data)
    assert guest.curl(META)[0] == 200
    second = guest.data.model_copy(update={"server_id": "0a1b2c3d-0000-4000-8000-000000000009"})
    host.store.keep(second)
    # Two servers with one address: nobody is told whose it is.
    assert guest.curl(META) == NOTHING
    host.store.remove(second.server_id)
    assert guest.meta()["uuid"] == guest.server_id


# --- phoning home --------------------------------------------------------------------------------


def test_a_guest_phones_home_once(host: MetadataHost, network: NetworkSpec, other: Guest) -> None:
    guest = host.add(network, 70, phone_home_token="t0ken")
    told = json.loads(guest.get("/openstack/latest/vendor_data2.json"))["cloud-init"]
    assert f"http://169.254.169.254{HOME}t0ken" in told
    # Neither another port, nor another token, nor another way.
    assert other.curl(f"{HOME}t0ken", "-d", "hostname=x") == NOTHING
    assert guest.curl(f"{HOME}t0keN", "-d", "hostname=x") == NOTHING
    assert guest.curl(f"{HOME}t0ken") == NOTHING
    assert guest.curl(f"{HOME}t0ken/", "-d", "x") == NOTHING
    assert host.store.what_it_said(guest.server_id) == {"first_boot": False}
    assert guest.curl(f"{HOME}t0ken", "-d", "instance_id=i-1&hostname=%00../x&result=failed") == (
        200,
        b"",
    )
    assert guest.curl(f"{HOME}t0ken", "-d", "result=ok") == NOTHING
    said = host.store.what_it_said(guest.server_id)
    assert said == {"first_boot": True, "first_boot_result": "failed"}


def test_a_word_that_is_too_long_is_not_taken(host: MetadataHost, network: NetworkSpec) -> None:
    guest = host.add(network, 71, phone_home_token="t0ken")
    body = "x" * (16 * 1024 + 1)
    assert guest.curl(f"{HOME}t0ken", "-d", body, "-H", "Expect:")[0] == 413
    chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Expect:")
    assert guest.curl(f"{HOME}t0ken", "-d", body, *chunked)[0] == 413
    assert host.store.what_it_said(guest.server_id) == {"first_boot": False}
    assert guest.curl(f"{HOME}t0ken", "-d", "x" * 16 * 1024)[0] == 200


# --- a guest that does its worst ------------------------------------------------------------------

HOLD = """
import socket, sys, time
held = []
for _ in range(int(sys.argv[1])):
    s = socket.create_connection(("169.254.169.254", 80), 3)
    s.sendall(b"GET /openstack HTTP/1.1\\r\\n")
    held.append(s)
print("held", flush=True)
began, open_ones = time.time(), list(held)
while open_ones and time.time() - began < 30:
    time.sleep(0.5)
    for s in list(open_ones):
        try:
            s.sendall(b"X-a: b\\r\\n")
        except OSError:
            open_ones.remove(s)
print(len(open_ones), round(time.time() - began, 1))
"""


def holding(guest: Guest, count: int) -> "subprocess.Popen[str]":
    """Have the guest hold connections on which it sends a header now and then."""
    command = ["ip", "netns", "exec", guest.namespace, sys.executable, "-c", HOLD, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_slow_connections_end_and_harm_nobody(guest: Guest, other: Guest, stranger: Guest) -> None:
    with holding(guest, 100) as process:
        try:
            began = time.monotonic()
            for each in (other, stranger):
                assert each.meta()["uuid"] == each.server_id
            assert time.monotonic() - began < 2
            # It has no place left for itself either.
            assert guest.curl(META, limit_s=2)[0] == 0
            left, took_s = process.communicate(timeout=40)[0].split()
        finally:
            process.kill()
    assert int(left) == 0
    assert float(took_s) < CONNECTION_LIMIT_S + 4
    assert guest.curl(META)[0] == 200


def test_headers_have_an_end(guest: Guest) -> None:
    assert guest.curl(META, "-H", f"X-Long: {'x' * MAX_HEADER_BYTES}")[0] == 431
    assert guest.curl(f"/{'x' * (MAX_HEADER_BYTES + 1)}")[0] in (414, 431)
    assert guest.curl(META)[0] == 200


def test_a_guest_that_asks_all_the_time_is_slowed_and_no_other(
    host: MetadataHost, network: NetworkSpec, other: Guest
) -> None:
    greedy = host.add(network, 80)
    # One connection, many requests: curl takes them all as one command line.
    urls = [f"http://169.254.169.254{META}"] * 400
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}\\n"]
    several = [word for url in urls for word in ("-o", "/dev/null", url)]
    done = subprocess.run(
        ["ip", "netns", "exec", greedy.namespace, *command[:2], *command[4:], *several],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    statuses = done.stdout.split()
    assert statuses.count("200") >= 200
    assert "429" in statuses
    assert other.curl(META)[0] == 200


def test_garbage_is_no_request(guest: Guest, other: Guest) -> None:
    script = (
        "import socket\n"
        "for text in (b'\\0'*100, b'GET\\r\\n\\r\\n', b'GET / HTTP/9\\r\\n\\r\\n',"
        " b'POST / HTTP/1.1\\r\\nContent-Length: -1\\r\\n\\r\\n',"
        " b'GET / HTTP/1.1\\r\\nContent-Length: 1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'):\n"
        "    s = socket.create_connection(('169.254.169.254', 80), 3); s.sendall(text)\n"
        "    s.shutdown(socket.SHUT_WR); s.recv(100)\n"
    )
    command = ["ip", "netns", "exec", guest.namespace, sys.executable, "-c", script]
    subprocess.run(command, check=True, timeout=30)
    assert other.curl(META)[0] == 200


# --- the process -------------------------------------------------------------------------------


def test_the_service_ends_with_its_worker_and_is_back_with_the_next_one(
    host: MetadataHost, guest: Guest
) -> None:
    assert b"169.254.169.254" in host.ip("address", "show", "dev", "lo")
    host.stop_service()
    assert b"169.254.169.254" not in host.ip("address", "show", "dev", "lo")
    assert guest.curl(META, limit_s=2)[0] == 0
    host.start_service()
    assert guest.meta()["uuid"] == guest.server_id


def test_an_address_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    host = MetadataHost(tmp_path)
    host.name += "x"
    try:
        host.start()
        host.stop_service()
        host.ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
        host.ip("link", "set", "up0", "up")
        host.ip("route", "add", "169.254.169.254/32", "dev", "up0")
        with pytest.raises(AssertionError, match="in use already"):
            host.start_service()
        assert host.service is not None
        assert host.service.wait(5) == 75
        assert b"169.254.169.254" not in host.ip("address", "show", "dev", "lo")
        host.start_service(BYRE_METADATA_SERVICE="on")
    finally:
        host.stop()


def test_the_service_is_not_reached_under_another_address(host: MetadataHost, guest: Guest) -> None:
    gateway = guest.data.networks[0].subnets[0].host_address
    script = f"import socket; socket.create_connection(('{gateway}', 80), 2)"
    command = ["ip", "netns", "exec", guest.namespace, sys.executable, "-c", script]
    assert subprocess.run(command, check=False, capture_output=True, timeout=20).returncode != 0
