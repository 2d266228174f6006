"""OpenStack's first-boot files, and the drive that carries them."""

import base64
import json
from io import BytesIO
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pycdlib
import pytest
import yaml

from tasks.errors import MalformedMessage
from tasks.messages import NetworkSpec, PortAddress, PortSpec, SubnetSpec
from tests.drivers.values import NETWORK, make_first_boot, make_port
from workers.hypervisor.config_drive import LABEL, write_config_drive
from workers.hypervisor.first_boot import VERSIONS, first_boot_files
from workers.hypervisor.guest_data import GuestData
from workers.hypervisor.network_data import network_data

SEED = b"\x01" * 512


def files(**changes: object) -> dict[str, bytes]:
    """Return the files of a server with one port."""
    fixed = PortAddress(
        subnet_id=NETWORK.subnets[0].subnet_id, address="10.177.0.7", prefix_length=24
    )
    port = make_port().model_copy(update={"addresses": [fixed], "mac": "fa:16:3e:00:00:07"})
    return first_boot_files(guest_data([NETWORK], [port], **changes))


def guest_data(networks: list[NetworkSpec], ports: list[PortSpec], **changes: object) -> GuestData:
    """Return what a guest is told."""
    return GuestData(
        server_id="server",
        project_id="project",
        first_boot=make_first_boot(**changes),
        networks=networks,
        ports=ports,
        random_seed=SEED.hex(),
    )


def read(found: dict[str, bytes], name: str) -> Any:
    """Return the decoded file."""
    return json.loads(found[f"openstack/latest/{name}"])


def test_the_guest_is_told_who_it_is() -> None:
    data = read(files(), "meta_data.json")
    assert data["uuid"] == "server"
    assert data["project_id"] == "project"
    assert (data["hostname"], data["name"]) == ("web-1", "web 1")
    assert data["public_keys"] == {"mine": "ssh-ed25519 AAAA me@here"}
    assert data["keys"] == [{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me@here"}]
    assert data["meta"] == {"role": "web"}
    assert base64.b64decode(data["random_seed"]) == SEED
    assert "admin_pass" not in data


def test_a_password_is_told_only_if_there_is_one() -> None:
    assert read(files(admin_pass="s3cret"), "meta_data.json")["admin_pass"] == "s3cret"


def test_the_interface_is_known_by_its_mac() -> None:
    data = read(files(), "network_data.json")
    (link,), (network,) = data["links"], data["networks"]
    assert link["ethernet_mac_address"] == "fa:16:3e:00:00:07"
    assert (link["type"], link["mtu"]) == ("phy", 1400)
    assert network["link"] == link["id"]
    assert (network["type"], network["ip_address"]) == ("ipv4", "10.177.0.7")
    assert network["netmask"] == "255.255.255.0"
    assert network["routes"] == [
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.177.0.1"}  # noqa: S104
    ]
    assert data["services"] == [{"type": "dns", "address": "9.9.9.9"}]


def test_user_data_arrives_as_it_was_before_base64() -> None:
    script = b"#!/bin/sh\necho \xff\n"
    found = files(user_data=base64.b64encode(script).decode())
    assert found["openstack/latest/user_data"] == script
    assert "openstack/latest/user_data" not in files()


def test_files_are_told_by_their_path_and_have_their_content_beside() -> None:
    given = [{"path": "/etc/x", "contents": "aGVsbG8="}, {"path": "../y", "contents": ""}]
    found = files(files=given)
    assert read(found, "meta_data.json")["files"] == [
        {"content_path": "/content/0000", "path": "/etc/x"},
        {"content_path": "/content/0001", "path": "../y"},
    ]
    contents = {name: text for name, text in found.items() if "/content/" in name}
    assert contents == {"openstack/content/0000": b"hello", "openstack/content/0001": b""}
    assert "files" not in read(files(), "meta_data.json")
    with pytest.raises(MalformedMessage):
        files(files=[{"path": "/etc/x", "contents": "not base64!"}])


def test_every_version_has_the_same_files() -> None:
    found = files()
    for version in VERSIONS:
        for name in ("meta_data.json", "network_data.json", "vendor_data.json"):
            assert found[f"openstack/{version}/{name}"] == found[f"openstack/latest/{name}"]


def test_user_data_that_is_not_base64_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        files(user_data="not base64!")


def test_a_port_needs_its_network() -> None:
    with pytest.raises(MalformedMessage):
        first_boot_files(guest_data([], [make_port()]))


def test_the_drive_holds_what_was_given(tmp_path: Path) -> None:
    file = {"path": "/etc/x", "contents": "aGVsbG8="}
    path, given = tmp_path / "drive.iso", files(user_data="aGVsbG8=", files=[file])
    for _ in range(2):
        write_config_drive(path, given)
    image = pycdlib.PyCdlib()
    image.open(str(path))
    assert image.pvd.volume_identifier.decode().strip() == LABEL
    for name, content in given.items():
        for key in ("rr_path", "joliet_path"):
            found = BytesIO()
            image.get_file_from_iso_fp(found, **{key: f"/{name}"})
            assert found.getvalue() == content
    image.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


# --- several networks ----------------------------------------------------------------------------


def spec(number: int, kind: str, *subnets: SubnetSpec) -> NetworkSpec:
    """Return a network of the subnets."""
    return NetworkSpec.parse(
        {
            "network_id": f"0000000{number}-0000-4000-8000-000000000000",
            "name": "n",
            "kind": kind,
            "mtu": 1450,
            "subnets": [subnet.model_dump() for subnet in subnets],
        }
    )


def subnet(cidr: str, *, gateway: str | None, host: str | None, **facts: object) -> SubnetSpec:
    """Return a subnet that is known by its prefix."""
    version = 6 if ":" in cidr else 4
    values = {"subnet_id": cidr, "version": version, "cidr": cidr, "gateway": gateway}
    return SubnetSpec.parse({**values, "host_address": host, **facts})


def port_on(network: NetworkSpec, *addresses: str) -> PortSpec:
    """Return a port with these addresses, one on each of the network's subnets."""
    fixed = [
        PortAddress(
            subnet_id=on.subnet_id, address=address, prefix_length=64 if ":" in address else 24
        )
        for on, address in zip(network.subnets, addresses, strict=True)
    ]
    return make_port().model_copy(update={"network_id": network.network_id, "addresses": fixed})


WAN = subnet("192.0.2.0/24", gateway="192.0.2.1", host=None)
LAN = subnet(
    "10.1.0.0/24", gateway="10.1.0.1", host="10.1.0.1", dns=["9.9.9.9"],
    routes=[{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}],
)  # fmt: skip
LAN6 = subnet("fd01::/64", gateway="fd01::1", host="fd01::1", dns=["2620:fe::fe", "9.9.9.9"])
SHUT = subnet("10.2.0.0/24", gateway=None, host="10.2.0.1")


def routes_of(*places: tuple[NetworkSpec, PortSpec]) -> dict[str, list[str]]:
    """Return each address with its routes, as `destination via gateway`."""
    told = network_data([network for network, _ in places], [port for _, port in places])
    return {
        entry["ip_address"]: [
            f"{ip_network((r['network'], mask_length(r['netmask'])))} via {r['gateway']}"
            for r in entry["routes"]
        ]
        for entry in told["networks"]
    }


def mask_length(mask: str) -> int:
    """Return how many bits of the mask are set."""
    return bin(int(ip_address(mask))).count("1")


def test_an_ipv6_subnet_is_told_as_static() -> None:
    network = spec(1, "nat", LAN, LAN6)
    told = network_data([network], [port_on(network, "10.1.0.5", "fd01::5")])
    assert [entry["type"] for entry in told["networks"]] == ["ipv4", "ipv6"]
    assert len({entry["link"] for entry in told["networks"]}) == len(told["links"]) == 1
    assert told["networks"][1]["netmask"] == "ffff:ffff:ffff:ffff::"
    assert [service["address"] for service in told["services"]] == ["9.9.9.9", "2620:fe::fe"]


def test_each_version_has_one_default_route_and_the_subnets_own_routes() -> None:
    wan, lan = spec(1, "provider", WAN), spec(2, "nat", LAN, LAN6)
    places = (wan, port_on(wan, "192.0.2.9")), (lan, port_on(lan, "10.1.0.5", "fd01::5"))
    assert routes_of(*places) == {
        "192.0.2.9": ["0.0.0.0/0 via 192.0.2.1"],
        # The default route leads away from the host, so the way to its metadata is told.
        "10.1.0.5": ["10.9.0.0/16 via 10.1.0.9", "169.254.169.254/32 via 10.1.0.1"],
        "fd01::5": ["::/0 via fd01::1"],
    }


def test_a_network_without_a_way_out_has_the_way_to_the_metadata() -> None:
    shut, lan = spec(1, "isolated", SHUT), spec(2, "nat", LAN)
    alone = routes_of((shut, port_on(shut, "10.2.0.7")))
    assert alone == {"10.2.0.7": ["169.254.169.254/32 via 10.2.0.1"]}
    second = routes_of((lan, port_on(lan, "10.1.0.5")), (shut, port_on(shut, "10.2.0.7")))
    assert second["10.2.0.7"] == []


def test_a_port_without_addresses_is_only_a_link() -> None:
    network = spec(1, "provider")
    told = network_data([network], [port_on(network)])
    assert (len(told["links"]), told["networks"]) == (1, [])


# --- vendor data ---------------------------------------------------------------------------------


def test_the_operators_vendor_data_is_told_as_it_is() -> None:
    found = files(vendor_data='{"cloud-init": "#cloud-config\\n{}", "site": [1]}')
    assert read(found, "vendor_data.json") == {"cloud-init": "#cloud-config\n{}", "site": [1]}
    assert read(found, "vendor_data2.json") == {}
    with pytest.raises(MalformedMessage):
        files(vendor_data="{")


def test_a_guest_is_asked_to_phone_home_by_our_vendor_data_alone() -> None:
    found = files(phone_home_token="t0ken")
    assert read(found, "vendor_data.json") == {}
    told = read(found, "vendor_data2.json")["cloud-init"]
    first, rest = told.split("\n", 1)
    assert first == "#cloud-config"
    asked = yaml.safe_load(rest)["phone_home"]
    assert asked["url"] == "http://169.254.169.254/byre/v1/phone-home/t0ken"
    assert asked["post"] == ["instance_id", "hostname"]


# --- hostile words -------------------------------------------------------------------------------

HOSTILE = [
    "../../etc/passwd",
    "a\nb: c",
    "\x00",
    "\ud800",
    "é☃",
    '"}',
    "",
    " ",
    "%2e%2e",
    "a\r\nX: y",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_told_as_data_and_nothing_else(text: str) -> None:
    found = files(metadata={text: text}, name=text, hostname=text, public_keys={text: text})
    assert {name.count("/") for name in found} == {2}
    data = read(found, "meta_data.json")
    assert (data["meta"], data["name"], data["hostname"]) == ({text: text}, text, text)
    assert data["public_keys"] == {text: text}


def test_user_data_of_the_largest_size_with_every_byte_arrives() -> None:
    script = (bytes(range(256)) * 256)[:65535]
    found = files(user_data=base64.b64encode(script).decode())
    assert found["openstack/latest/user_data"] == script
