"""Bridges of the operator's by which provider networks reach the world, and VLANs on them.

Effect  for a network with a VLAN tag: an interface `byrw<8>` on the operator's bridge that carries
        the tag, as a port of a bridge `byrv<8>` of the network's own. Without a tag: nothing.
Repeat  what is there as wanted stays.
Undo    `remove` takes both; the operator's bridge is never changed.
"""

from collections.abc import Mapping

from tasks.errors import HostError
from tasks.messages import NetworkSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt import links


def ensure_bridge(spec: NetworkSpec, physical_networks: Mapping[str, str]) -> str:
    """Return the name of the bridge that carries the network on this host. Raises HostError."""
    bridge = physical_networks.get(str(spec.physical_network))
    if bridge is None:
        raise HostError(
            "The host does not have the network's physical network.",
            physical_network=spec.physical_network,
        )
    if links.link(bridge) is None:
        raise HostError("The host's bridge of a physical network is not there.", bridge=bridge)
    return bridge if spec.vlan is None else _ensure_vlan(spec, bridge, spec.vlan)


def remove(network_id: str) -> None:
    """Remove the network's VLAN. Absent is done."""
    links.remove(names.vlan_link_name(network_id))
    links.remove(names.vlan_bridge_name(network_id))


def _ensure_vlan(spec: NetworkSpec, bridge: str, tag: int) -> str:
    tagged, own = names.vlan_link_name(spec.network_id), names.vlan_bridge_name(spec.network_id)
    if links.link(own) is None:
        links.run("ip", "link", "add", own, "type", "bridge", "stp_state", "0")
    there = links.link(tagged)
    if there is not None and (there.get("link"), _tag(there)) != (bridge, tag):
        links.remove(tagged)
        there = None
    if there is None:
        vlan = ("type", "vlan", "id", str(tag))
        links.run("ip", "link", "add", "link", bridge, "name", tagged, *vlan)
    links.run("ip", "link", "set", own, "mtu", str(spec.mtu), "up")
    links.run("ip", "link", "set", tagged, "master", own, "up")
    return own


def _tag(there: dict[str, object]) -> int | None:
    info = there.get("linkinfo")
    data = info.get("info_data") if isinstance(info, dict) else None
    return data.get("id") if isinstance(data, dict) else None
