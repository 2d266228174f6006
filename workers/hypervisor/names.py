"""Names of things on a hypervisor: derived from the control plane's ids, and from nothing else.

Every id that becomes a file's or a device's name passes `checked`, so that a message cannot name
a path of its own choosing.
"""

import re
import uuid

from tasks.errors import MalformedMessage

#: What Linux allows, without what a rule or a shell would take for its own.
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def checked(identifier: str) -> str:
    """Return the id if it is a UUID in its usual form. Raises MalformedMessage."""
    try:
        is_usual = str(uuid.UUID(identifier)) == identifier
    except ValueError:
        is_usual = False
    if not is_usual:
        raise MalformedMessage(f"{identifier!r:.60} is not a UUID in its usual form")
    return identifier


def checked_device(name: str) -> str:
    """Return the name if it is one that a network device can have. Raises MalformedMessage."""
    if _DEVICE.fullmatch(name) is None:
        raise MalformedMessage(f"{name!r:.60} is no name of a network device")
    return name


def domain_name(server_id: str) -> str:
    """Return the domain's name."""
    return f"byre-{checked(server_id)}"


def network_name(network_id: str) -> str:
    """Return the libvirt network's name."""
    return f"byre-{checked(network_id)[:8]}"


def bridge_name(network_id: str) -> str:
    """Return the bridge's name: 12 characters, of the 15 that Linux allows."""
    return f"byre{checked(network_id)[:8]}"


#: What the names of all tunnels begin with, and of nothing else.
TUNNEL = "byrx"


def tunnel_name(network_id: str) -> str:
    """Return the name of the VXLAN interface by which the network spans hosts."""
    return f"{TUNNEL}{checked(network_id)[:8]}"


def vlan_link_name(network_id: str) -> str:
    """Return the name of the interface that carries a provider network's VLAN tag."""
    return f"byrw{checked(network_id)[:8]}"


def vlan_bridge_name(network_id: str) -> str:
    """Return the name of the bridge of a provider network with a VLAN tag."""
    return f"byrv{checked(network_id)[:8]}"


def filter_name(port_id: str) -> str:
    """Return the name of the port's packet filter."""
    return f"byre-port-{checked(port_id)}"


def rules_name(port_id: str) -> str:
    """Return the name under which a survey lists the port's firewall rules."""
    return f"byre-rules-{checked(port_id)}"


def image_file(sha256: str, disk_format: str, stored_as: str | None = None) -> str:
    """Return the cached image's file name; the digest's form is checked by its message. One that
    was converted has both formats in its name: equal bytes can be two images."""
    converted = f".{stored_as}" if stored_as and stored_as != disk_format else ""
    return f"image-{sha256}.{disk_format}{converted}"


def root_disk_file(server_id: str) -> str:
    """Return the root disk's file name."""
    return f"{checked(server_id)}.root.qcow2"


def config_drive_file(server_id: str) -> str:
    """Return the config drive's file name."""
    return f"{checked(server_id)}.config.iso"


def ephemeral_disk_file(server_id: str) -> str:
    """Return the ephemeral disk's file name."""
    return f"{checked(server_id)}.ephemeral.raw"


def swap_disk_file(server_id: str) -> str:
    """Return the swap disk's file name."""
    return f"{checked(server_id)}.swap.raw"


def install_disc_file(server_id: str) -> str:
    """Return the file name of the disc that the server is installed from."""
    return f"{checked(server_id)}.cdrom.iso"


def rescue_disk_file(server_id: str) -> str:
    """Return the file name of the disk from which the server is rescued."""
    return f"{checked(server_id)}.rescue.qcow2"


def rescue_drive_file(server_id: str) -> str:
    """Return the file name of the config drive of the server's rescue."""
    return f"{checked(server_id)}.rescue-config.iso"


#: Of what a server's guest writes to: its file, and what the file is called when a copy is kept of
#: it (`keep_disks`). The ending stays, by which it is known what is in it. The root disk's is made
#: last: with it, all is kept.
_KEPT = {
    "ephemeral.raw": "before-ephemeral.raw",
    "nvram.fd": "before-nvram.fd",
    "root.qcow2": "before-root.qcow2",
}


def kept_files(server_id: str) -> dict[str, str]:
    """Return the names of the files that are kept, and those of their copies, in the order in which
    they are made."""
    return {f"{checked(server_id)}.{name}": f"{server_id}.{copy}" for name, copy in _KEPT.items()}


def nvram_file(server_id: str) -> str:
    """Return the name of the file with the UEFI firmware's variables."""
    return f"{checked(server_id)}.nvram.fd"


def snapshot_file(server_id: str, image_id: str) -> str:
    """Return the name of the copy of the server's root disk that is to become the image."""
    return f"{checked(server_id)}.{checked(image_id)}.snapshot.qcow2"


def guest_data_file(server_id: str) -> str:
    """Return the name of the file with what the metadata service tells the server's guest."""
    return f"{checked(server_id)}.first-boot.json"


def guest_password_file(server_id: str) -> str:
    """Return the name of the file of what a guest has posted as its password."""
    return f"{checked(server_id)}.first-boot-password.txt"


def guest_word_file(server_id: str) -> str:
    """Return the name of the file with the guest's own word of its first boot."""
    return f"{checked(server_id)}.first-boot-word.json"


def console_file(server_id: str) -> str:
    """Return the console log's file name; older parts follow it with `.0`, `.1` and so on."""
    return f"{checked(server_id)}.console.log"
