"""EC2's metadata, as of 2009-04-04, of what Byre knows of a guest. Pure.

What is not known is left out, never invented: a reader that needs it says so.
"""

import json
from typing import Any

from workers.hypervisor.first_boot import decoded_user_data
from workers.hypervisor.guest_data import GuestData
from workers.metadata.floating import Floating

VERSIONS = ("2009-04-04", "latest")

#: A leaf's text, or a directory of them.
Tree = dict[str, Any]


def instance_id(server_id: str) -> str:
    """Return the server's id in EC2's form."""
    return f"i-{server_id.replace('-', '')[:8]}"


def tree(data: GuestData, floating: Floating) -> Tree:
    """Return what lies below a version. `floating` may have other guests' too. Raises
    MalformedMessage."""
    found: Tree = {"dynamic": _dynamic(data), "meta-data": _meta_data(data, floating)}
    user_data = decoded_user_data(data.first_boot)
    return {**found, "user-data": user_data} if user_data else found


def _meta_data(data: GuestData, floating: Floating) -> Tree:
    first_boot = data.first_boot
    own: Tree = {
        "ami-launch-index": "0",
        "hostname": first_boot.hostname,
        "instance-action": "none",
        "instance-id": instance_id(data.server_id),
        "local-hostname": first_boot.hostname,
        "network": {"interfaces": {"macs": _macs(data, floating)}},
        "placement": {"availability-zone": first_boot.availability_zone},
        "public-hostname": first_boot.hostname,
        "reservation-id": f"r-{data.server_id.replace('-', '')[:8]}",
    }
    if first_boot.instance_type:
        own["instance-type"] = first_boot.instance_type
    addresses = _addresses(data, 4)
    if addresses:
        own["local-ipv4"] = addresses[0]
    public = [address for port in data.ports for address in floating.get(port.port_id, ())]
    if public:
        own["public-ipv4"] = public[0]
    if data.ports:
        own["mac"] = data.ports[0].mac.lower()
    if first_boot.public_keys:
        own["public-keys"] = {
            f"{number}={_one_line(name)}": {"openssh-key": key}
            for number, (name, key) in enumerate(first_boot.public_keys.items())
        }
    return own


def _macs(data: GuestData, floating: Floating) -> Tree:
    found: Tree = {}
    for number, port in enumerate(data.ports):
        own: Tree = {"device-number": str(number), "mac": port.mac.lower()}
        for name, mark in (("local-ipv4s", "."), ("ipv6s", ":")):
            addresses = [fixed.address for fixed in port.addresses if mark in fixed.address]
            if addresses:
                own[name] = "\n".join(addresses)
        if port.port_id in floating:
            own["public-ipv4s"] = "\n".join(floating[port.port_id])
        found[port.mac.lower()] = own
    return found


def _dynamic(data: GuestData) -> Tree:
    document = {
        "version": "2017-09-30",
        "instanceId": instance_id(data.server_id),
        "availabilityZone": data.first_boot.availability_zone,
        "privateIp": next(iter(_addresses(data, 4)), None),
    }
    if data.first_boot.instance_type:
        document["instanceType"] = data.first_boot.instance_type
    return {"instance-identity": {"document": json.dumps(document, indent=2)}}


def _addresses(data: GuestData, version: int) -> list[str]:
    mark = "." if version == 4 else ":"
    return [a.address for port in data.ports for a in port.addresses if mark in a.address]


def _one_line(name: str) -> str:
    """A name stands in a listing, where a line or a slash of its own would be another entry."""
    return "".join(c if c.isprintable() and c not in "/=" else "_" for c in name)
