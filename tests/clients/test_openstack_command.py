"""OpenStack's own command against a whole Byre: each family of commands, as people type them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import HOSTS, Cloud

pytestmark = pytest.mark.timeout(600)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqvM4C0pGNBtnZD1nLSqyq8WSFqbOnsMZ1nTFzsDmQS me@home"


@pytest.fixture
def web(cloud: Cloud) -> Iterator[str]:
    """A server that is up."""
    cloud.do("server create --image small --flavor m1.nano --wait web")
    yield "web"
    cloud.do("server delete --wait web")


def status(cloud: Cloud, server: str = "web") -> str:
    found: str = cloud.get(f"server show {server}")["status"]
    return found


def test_tokens_and_the_catalog(cloud: Cloud) -> None:
    token = cloud.get("token issue")

    assert token["project_id"] == cloud.admin.get("project show demo")["id"]
    catalog = {entry["Type"]: entry["Endpoints"] for entry in cloud.get("catalog list")}
    assert set(catalog) == {"identity", "compute", "image", "network"}
    assert {point["interface"] for point in catalog["compute"]} == {"public", "internal", "admin"}


def test_flavors(cloud: Cloud) -> None:
    admin = cloud.admin
    made = admin.get(
        "flavor create --ram 512 --disk 2 --vcpus 2 --property quota:cpu_quota=9000 c2"
    )
    assert (made["ram"], made["vcpus"], made["properties"]) == (512, 2, {"quota:cpu_quota": "9000"})
    admin.do("flavor set --property quota:cpu_shares=10 c2")
    admin.do("flavor unset --property quota:cpu_quota c2")

    assert cloud.get("flavor show c2")["properties"] == {"quota:cpu_shares": "10"}
    assert {"c2", "m1.nano"} <= set(cloud.names("flavor list"))
    assert "403" in cloud.refused("flavor delete c2")

    admin.do("flavor delete c2")
    assert "No Flavor found for c2" in cloud.refused("flavor show c2")


def test_keypairs(cloud: Cloud, tmp_path: Path) -> None:
    public = tmp_path / "key.pub"
    public.write_text(KEY)
    cloud.do(f"keypair create --public-key {public} laptop")

    assert cloud.names("keypair list") == ["laptop"]
    assert cloud.do("keypair show --public-key laptop").strip() == KEY
    assert "already exists" in cloud.refused(f"keypair create --public-key {public} laptop")
    cloud.do("keypair delete laptop")
    assert cloud.names("keypair list") == []


def test_networks(cloud: Cloud) -> None:
    cloud.do("network create --mtu 1400 --description back backend")
    cloud.do(
        "subnet create --network backend --subnet-range 10.9.0.0/24 --dns-nameserver 9.9.9.9 b"
    )
    cloud.do("network set --name rear backend")
    assert cloud.get("network show rear")["mtu"] == 1400
    shown = cloud.get("subnet show b")
    assert (shown["gateway_ip"], shown["dns_nameservers"]) == ("10.9.0.1", ["9.9.9.9"])
    cloud.do("subnet set --no-dns-nameservers --name four b")
    assert "four" in cloud.names("subnet list --network rear")

    port = cloud.get("port create --network rear --fixed-ip ip-address=10.9.0.7 reserved")
    assert port["fixed_ips"][0]["ip_address"] == "10.9.0.7"
    cloud.do("port set --name mine reserved")
    assert cloud.names("port list --network rear") == ["mine"]
    assert "in use" in cloud.refused("network delete rear")

    for line in ("port delete mine", "subnet delete four", "network delete rear"):
        cloud.do(line)
    assert "rear" not in cloud.names("network list")


def test_a_network_for_who_has_none(cloud: Cloud) -> None:
    topology = "network auto allocated topology"
    assert "No default router:external network" in cloud.refused(f"{topology} create")
    cloud.admin.do("network create --external --default world")
    assert cloud.get("network show world")["is_default"] is True

    cloud.do(f"{topology} create --check-resources")
    assert "auto_allocated_network" not in cloud.names("network list")
    made = cloud.get(f"{topology} create --or-show")
    assert cloud.get("network show auto_allocated_network")["id"] == made["id"]
    cloud.do(f"{topology} delete")
    assert "auto_allocated_network" not in cloud.names("network list")
    cloud.admin.do("network delete world")


def test_security_groups(cloud: Cloud) -> None:
    cloud.do("security group create --description 'who may' web")
    rule = cloud.get("security group rule create --protocol tcp --dst-port 80:81 web")
    assert (rule["port_range_min"], rule["port_range_max"]) == (80, 81)

    listed = cloud.get("security group rule list web")
    assert rule["id"] in [row["ID"] for row in listed]
    assert {"default", "web"} <= set(cloud.names("security group list"))
    cloud.do("security group set --name www web")
    cloud.do(f"security group rule delete {rule['id']}")
    cloud.do("security group delete www")


def test_a_server_with_everything(cloud: Cloud, tmp_path: Path) -> None:
    public, data = tmp_path / "key.pub", tmp_path / "user-data"
    public.write_text(KEY)
    data.write_text("#!/bin/sh\ntrue\n")
    cloud.do(f"keypair create --public-key {public} full")
    cloud.do("security group create full")
    cloud.do("server group create --policy anti-affinity full")
    network = cloud.names("network list")[0]

    made = cloud.get(
        f"server create --image small --flavor m1.nano --network {network} --key-name full"
        f" --security-group full --user-data {data} --config-drive True --property role=db"
        " --server-group full --availability-zone nova --wait everything"
    )

    assert (made["status"], made["key_name"], made["config_drive"]) == ("ACTIVE", "full", "True")
    assert made["properties"] == {"role": "db"}
    assert [group["name"] for group in made["security_groups"]] == ["full"]
    assert list(made["addresses"]) == [network]
    assert made["adminPass"]
    (row,) = cloud.get("server list --name everything")
    assert (row["Image"], row["Flavor"]) == ("small", "m1.nano")
    member = cloud.get("server group show full")["members"]
    assert made["id"] in member
    for line in (
        "server delete --wait everything",
        "server group delete full",
        "security group delete full",
        "keypair delete full",
    ):
        cloud.do(line)


def test_tagged_interfaces(cloud: Cloud) -> None:
    network = cloud.get("network list")[0]
    create = "server create --image small --flavor m1.nano --wait"
    cloud.do(f"{create} --nic net-id={network['ID']},tag=front tagged")
    cloud.do(f"server add network --tag back tagged {network['Name']}")
    assert "is invalid" in cloud.refused(f"server add network --tag a/b tagged {network['Name']}")
    assert len(cloud.get("port list --server tagged")) == 2
    cloud.do("server delete --wait tagged")


def test_two_servers_by_one_command(cloud: Cloud) -> None:
    cloud.do("server create --image small --flavor m1.nano --min 2 --max 2 --wait twin")

    assert sorted(cloud.names("server list")) == ["twin-1", "twin-2"]
    cloud.do("server delete --wait twin-1 twin-2")
    assert cloud.names("server list") == []


def test_what_cannot_be_is_said(cloud: Cloud) -> None:
    create = "server create --flavor m1.nano"
    assert "No Image found for nothing" in cloud.refused(f"{create} --image nothing x")
    assert "key pair nothing" in cloud.refused(f"{create} --image small --key-name nothing x")
    refused = cloud.refused(f"{create} --image small --availability-zone mars x")
    assert "mars" in refused
    many = "server create --image small --flavor m1.nano --min 99 --max 99 x"
    assert "Quota exceeded" in cloud.refused(many)
    assert cloud.names("server list") == []


def test_power_and_pause(cloud: Cloud, web: str) -> None:
    for line, wanted in (
        ("stop", "SHUTOFF"),
        ("start", "ACTIVE"),
        ("pause", "PAUSED"),
        ("unpause", "ACTIVE"),
        ("suspend", "SUSPENDED"),
        ("resume", "ACTIVE"),
        ("reboot --wait", "ACTIVE"),
        ("reboot --hard --wait", "ACTIVE"),
    ):
        cloud.do(f"server {line} {web}")
        settle(cloud, web, wanted)
    cloud.do(f"server lock {web}")
    assert "locked" in cloud.refused(f"server stop {web}")
    cloud.do(f"server unlock {web}")
    told = cloud.names(f"server event list {web}", "Action")
    assert told[0] == "reboot"
    assert told[-1] == "create"
    event = cloud.get(f"server event show {web} {event_id(cloud, web)}")
    assert event["action"] == "reboot"


def event_id(cloud: Cloud, server: str) -> str:
    found: str = cloud.get(f"server event list {server}")[0]["Request ID"]
    return found


def settle(cloud: Cloud, server: str, wanted: str) -> None:
    """Wait until the server is at rest, and as it is wanted."""
    for _ in range(60):
        found = cloud.get(f"server show {server}")
        if found["OS-EXT-STS:task_state"] is None:
            break
    assert found["status"] == wanted, found


def test_resize(cloud: Cloud, web: str) -> None:
    cloud.do(f"server resize --flavor m1.tiny --wait {web}")
    assert status(cloud) == "VERIFY_RESIZE"
    cloud.do(f"server resize confirm {web}")
    settle(cloud, web, "ACTIVE")
    assert "m1.tiny" in str(cloud.get(f"server show {web}")["flavor"])

    cloud.do(f"server resize --flavor m1.nano --wait {web}")
    cloud.do(f"server resize revert {web}")
    settle(cloud, web, "ACTIVE")
    assert "m1.tiny" in str(cloud.get(f"server show {web}")["flavor"])


def test_migrate(cloud: Cloud, web: str) -> None:
    # An administrator finds another project's server by its id.
    server_id = cloud.get(f"server show {web}")["id"]

    def host() -> str:
        return str(cloud.admin.get(f"server show {server_id}")["OS-EXT-SRV-ATTR:host"])

    [other] = set(HOSTS) - {was := host()}
    cloud.admin.do(f"server migrate --wait {server_id}")
    assert (status(cloud), host()) == ("VERIFY_RESIZE", other)
    cloud.do(f"server migration revert {web}")
    settle(cloud, web, "ACTIVE")
    assert host() == was

    at = "--os-compute-api-version 2.56"
    cloud.admin.do(f"{at} server migrate --host {other} --wait {server_id}")
    cloud.do(f"server migration confirm {web}")
    settle(cloud, web, "ACTIVE")
    assert host() == other
    assert "403" in cloud.refused(f"server migrate {web}")

    assert "still in use" in cloud.admin.refused(f"server evacuate {server_id}")
    service = f"--os-compute-api-version 2.11 compute service set {other} nova-compute"
    cloud.admin.do(f"{service} --down")
    # Its `--wait` never ends with python-openstackclient 10.5: it compares "active" with "ACTIVE".
    cloud.admin.do(f"server evacuate {server_id}")
    settle(cloud, web, "ACTIVE")
    assert host() == was
    cloud.admin.do(f"{service} --up")


def test_rebuild_and_rescue(cloud: Cloud, web: str) -> None:
    cloud.do(f"server rebuild --image small --wait {web}")
    settle(cloud, web, "ACTIVE")
    cloud.do(f"server rescue {web}")
    settle(cloud, web, "RESCUE")
    cloud.do(f"server unrescue {web}")
    settle(cloud, web, "ACTIVE")


def test_images_of_servers(cloud: Cloud, web: str) -> None:
    cloud.do(f"server image create --wait --name kept {web}")
    image = cloud.get("image show kept")
    assert (image["status"], image["properties"]["image_type"]) == ("active", "snapshot")

    cloud.do("server create --image kept --flavor m1.nano --wait copy")
    cloud.do("server delete --wait copy")
    cloud.do(f"server backup create --name nightly --type daily --rotate 1 --wait {web}")
    assert cloud.get("image show nightly")["properties"]["image_type"] == "backup"
    cloud.do("image delete kept nightly")


def test_console_and_metadata(cloud: Cloud, web: str) -> None:
    assert "login:" in cloud.do(f"console log show {web}")
    cloud.do(f"server set --property a=b --name web {web}")
    cloud.do(f"server unset --property a {web}")
    assert cloud.get(f"server show {web}")["properties"] == {}


def test_security_groups_of_a_server(cloud: Cloud, web: str) -> None:
    cloud.do("security group create extra")
    cloud.do(f"server add security group {web} extra")
    groups = cloud.get(f"server show {web}")["security_groups"]
    assert {group["name"] for group in groups} == {"default", "extra"}
    cloud.do(f"server remove security group {web} extra")
    cloud.do("security group delete extra")


def test_operators(cloud: Cloud, web: str) -> None:
    admin = cloud.admin
    assert sorted(admin.names("hypervisor list", "Hypervisor Hostname")) == list(HOSTS)
    shown = admin.get("hypervisor show host-1")
    assert (shown["hypervisor_hostname"], shown["state"]) == ("host-1", "up")
    assert admin.names("compute service list", "Binary") == ["nova-compute"] * 2
    admin.do("compute service set --disable --disable-reason dust host-1 nova-compute")
    assert "disabled" in admin.names("compute service list", "Status")
    admin.do("compute service set --enable host-1 nova-compute")
    assert [row["Name"] for row in admin.get("server list --all-projects")] == [web]
    server_id = cloud.get(f"server show {web}")["id"]
    where = admin.get(f"server show {server_id}")["OS-EXT-SRV-ATTR:host"]
    assert where in HOSTS
    assert "403" in cloud.refused("hypervisor list")


def test_aggregates_and_zones(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.do("aggregate create --zone east --property ssd=true fast")
    admin.do("aggregate add host fast host-2")
    assert admin.get("aggregate show fast")["hosts"] == ["host-2"]
    assert {"east", "nova"} == set(cloud.names("availability zone list", "Zone Name"))

    create = "server create --image small --flavor m1.nano --wait --availability-zone east there"
    zone = cloud.get(create)["OS-EXT-AZ:availability_zone"]
    assert zone == "east"
    cloud.do("server delete --wait there")

    admin.do("aggregate remove host fast host-2")
    admin.do("aggregate unset --property ssd fast")
    admin.do("aggregate delete fast")


def test_quotas_and_limits(cloud: Cloud) -> None:
    admin = cloud.admin
    admin.do("quota set --instances 7 --secgroups 12 demo")
    found = {row["Resource"]: row["Limit"] for row in cloud.get("quota show")}
    assert (found["instances"], found["security_groups"]) == (7, 12)
    limits = {row["Name"]: row["Value"] for row in cloud.get("limits show --absolute")}
    assert limits["instances"] == 7
    admin.do("quota delete demo")
