"""OpenStack's first-boot files, as cloud-init reads them from a config drive and from a metadata
service. Pure.

Interfaces are matched by MAC address alone, and addresses are given as static, so that an
unmodified cloud-init configures the guest without a metadata service and without guessing names.
"""

import base64
import binascii
import json
from typing import Any

from tasks.errors import MalformedMessage
from tasks.messages import FirstBoot
from workers.hypervisor.guest_data import GuestData
from workers.hypervisor.network_data import network_data

#: `latest` is what cloud-init looks for first; the dated one is for readers that want a version.
VERSIONS = ("latest", "2018-08-27")

#: Where every guest asks for its metadata: EC2's address, and so everybody's.
METADATA_ADDRESS = "169.254.169.254"
#: Where a guest says that its first boot is done; its one-time token follows.
PHONE_HOME_PATH = "/byre/v1/phone-home/"


def first_boot_files(data: GuestData) -> dict[str, bytes]:
    """Return path -> content of a config drive. Raises MalformedMessage if the user data or a file
    is not base64, the vendor data not JSON, or a port's network is not among the networks."""
    told = {
        f"openstack/{version}/{name}": content
        for version in VERSIONS
        for name, content in openstack_files(data).items()
    }
    return told | {f"openstack{path}": content for path, content in injected(data).items()}


def openstack_files(data: GuestData) -> dict[str, bytes]:
    """Return name -> content, which is the same in each version. Raises MalformedMessage."""
    files = {
        "meta_data.json": _json(_meta_data(data)),
        "network_data.json": _json(network_data(data.networks, data.ports)),
        "vendor_data.json": _json(_vendor_data(data.first_boot)),
        "vendor_data2.json": _json(_own_vendor_data(data.first_boot)),
    }
    user_data = decoded_user_data(data.first_boot)
    if user_data:
        files["user_data"] = user_data
    return files


def injected(data: GuestData) -> dict[str, bytes]:
    """Return `content_path` -> content of the files that the guest is to find, which have no
    version. Raises MalformedMessage."""
    return {
        _content_path(number): _decoded(file.contents, "a file")
        for number, file in enumerate(data.first_boot.files)
    }


def decoded_user_data(first_boot: FirstBoot) -> bytes:
    """Return the user data as it was before base64. Raises MalformedMessage."""
    return _decoded(first_boot.user_data, "the user data")


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessage(f"{what} is not base64") from error


def _content_path(number: int) -> str:
    """Where a reader finds a file, below `openstack`; the path in the guest is no part of it."""
    return f"/content/{number:04}"


def _meta_data(data: GuestData) -> dict[str, Any]:
    first_boot = data.first_boot
    meta: dict[str, Any] = {
        "uuid": data.server_id,
        "hostname": first_boot.hostname,
        "name": first_boot.name,
        "availability_zone": first_boot.availability_zone,
        "project_id": data.project_id,
        "launch_index": 0,
        "devices": [device.model_dump(exclude_none=True) for device in data.devices],
        "meta": first_boot.metadata,
        "public_keys": first_boot.public_keys,
        "keys": [
            {"name": name, "type": "ssh", "data": key}
            for name, key in first_boot.public_keys.items()
        ],
        "random_seed": base64.b64encode(bytes.fromhex(data.random_seed)).decode(),
    }
    if first_boot.files:
        meta["files"] = [
            {"content_path": _content_path(number), "path": file.path}
            for number, file in enumerate(first_boot.files)
        ]
    if first_boot.admin_pass:
        meta["admin_pass"] = first_boot.admin_pass
    return meta


def _vendor_data(first_boot: FirstBoot) -> Any:
    """The operator's own, for every guest."""
    try:
        return json.loads(first_boot.vendor_data or "{}")
    except ValueError as error:
        raise MalformedMessage("the vendor data is not JSON") from error


def _own_vendor_data(first_boot: FirstBoot) -> dict[str, Any]:
    """Ours. cloud-init lets it win over the operator's, and the owner's user data over both, so a
    `phone_home` of the owner's own takes the place of this one."""
    if not first_boot.phone_home_token:
        return {}
    phone_home = {
        "url": f"http://{METADATA_ADDRESS}{PHONE_HOME_PATH}{first_boot.phone_home_token}",
        "post": ["instance_id", "hostname"],
        "tries": 5,
    }
    # JSON is YAML, and quotes what YAML would misread.
    return {"cloud-init": "#cloud-config\n" + json.dumps({"phone_home": phone_home}) + "\n"}


def _json(value: Any) -> bytes:
    # Escaped, so that a lone surrogate of a name's cannot break it.
    return json.dumps(value, separators=(",", ":")).encode()
