"""Networks, static DHCP entries and packet filters of this host.

Effect  a libvirt network for each network, made when its first port comes, with our mark; a DHCP
        entry in it and a filter `byre-port-<id>` for each port. With an overlay, a tunnel.
Repeat  what is there as wanted is left alone. A network that has changed is made anew and its
        guests plugged in again, which they miss for less than a second; so it is with one that
        somebody has stopped.
Undo    `remove` takes the entry, the filter and a lease that is left. The network stays, until
        nothing on the host uses it (`remove_idle`), or one that has its addresses comes.
"""

import threading
import time
from collections.abc import Collection, Mapping, Sequence

import libvirt
import structlog
from lxml import etree

from tasks.errors import ForeignOwner, HostError
from tasks.messages import NetworkSpec, PortSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt import links, provider
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.dhcp_release import send_release
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.firewall.filters import filter_xml
from workers.hypervisor.libvirt.lookup import absent_is_done, lookup
from workers.hypervisor.libvirt.network_xml import (
    DhcpEntry,
    blocks,
    carried_out,
    dhcp_entries,
    entry_index,
    fingerprint,
    is_ours,
    network_xml,
    wanted_entries,
)
from workers.hypervisor.libvirt.overlay import Tunnels

log = structlog.get_logger(__name__)

_RELEASE_LIMIT_S = 2.0
_RELEASE_PAUSE_S = 0.02
#: A network that a build has just asked for is not idle, though nothing may hang on it yet.
_IDLE_AFTER_S = 900.0


class Networks:
    """The networks of one host."""

    def __init__(
        self, keeper: Keeper, tunnels: Tunnels, physical_networks: Mapping[str, str]
    ) -> None:
        self._keeper = keeper
        self._tunnels = tunnels
        self._physical_networks = physical_networks
        #: By network: when it was asked for last, on the monotonic clock.
        self._asked_at: dict[str, float] = {}
        self._began_at = time.monotonic()
        # Reading a network's entries and changing them must not be torn apart by another thread.
        self._lock = threading.Lock()

    def ensure_network(self, spec: NetworkSpec) -> None:
        """See the port."""
        with translated("set up a network"), self._lock:
            self._ensure_network(spec)

    def are_intact(self, network_ids: Collection[str]) -> bool:
        """See the port."""
        with translated("look at the networks"):
            up = self._keeper.connection().listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
            return {network.UUIDString() for network in up}.issuperset(network_ids)

    def remove_idle(self, keep: Collection[str]) -> None:
        """Remove our networks that nothing on the host uses, except those that are named, and those
        that somebody may be about to use."""
        now = time.monotonic()
        with translated("remove a network"), self._lock:
            for network in self._keeper.connection().listAllNetworks(0):
                asked_at = self._asked_at.get(network.UUIDString(), self._began_at)
                if network.UUIDString() in keep or now - asked_at < _IDLE_AFTER_S:
                    continue
                with absent_is_done():
                    if _is_our_own(network) and _is_idle(network):
                        self._remove_network(network)

    def ensure_port(self, spec: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """See the port. Raises ForeignOwner if the network's id or name is somebody else's."""
        # Before anything is made: an entry whose filter cannot be named would have no owner.
        names.filter_name(port.port_id)
        with translated("set up the server's network"), self._lock:
            network = self._ensure_network(spec)
            for scope in _scopes(network):
                _ensure_entries(network, port, hostname, scope)
            self._ensure_filter(port)

    def remove_ports(self, ports: list[PortSpec]) -> None:
        """See the port."""
        for port in ports:
            with translated("remove the server's network"):
                network = self._network(port.network_id)
                if network is not None:
                    self._remove_entry(network, port.mac)
                    _forget_answers(network, port)
                self._remove_filter(port.port_id)

    def discard_entry(self, network_id: str, mac: str) -> None:
        """Remove the MAC's DHCP entry. Raises ForeignOwner if the network is not ours."""
        with translated("remove a DHCP entry"), absent_is_done():
            network = self._network(network_id)
            if network is not None:
                _refuse_foreign(network)
                self._remove_entry(network, mac)

    def discard_filter(self, port_id: str) -> None:
        """Remove the port's filter."""
        with translated("remove a packet filter"):
            self._remove_filter(port_id)

    def traces(self, port: PortSpec) -> list[str]:
        """Name what the host still has of the port."""
        found = []
        with translated("look for the server's network"):
            network = self._network(port.network_id)
            if network is not None:
                entries = [_own_entries(network, port.mac, scope) for scope in _scopes(network)]
                if any(entries):
                    found.append(f"dhcp entry {port.mac} in {network.name()}")
                leases = _leases(network, port.mac)
                found += [f"lease {address} in {network.name()}" for address in leases]
            name = names.filter_name(port.port_id)
            if lookup(self._keeper.connection().nwfilterLookupByName, name) is not None:
                found.append(f"filter {name}")
        return found

    def _network(self, network_id: str) -> libvirt.virNetwork | None:
        identifier = names.checked(network_id)
        return lookup(self._keeper.connection().networkLookupByUUIDString, identifier)

    def _ensure_network(self, spec: NetworkSpec) -> libvirt.virNetwork:
        self._asked_at[spec.network_id] = time.monotonic()
        bridge = None
        if spec.kind == "provider":
            bridge = provider.ensure_bridge(spec, self._physical_networks)
        network = self._network(spec.network_id)
        if network is None:
            network = self._define(spec, bridge)
        else:
            _refuse_foreign(network)
            if carried_out(_on_disk(network)) != fingerprint(spec, bridge):
                network = self._redefine(network, spec, bridge)
        if not network.isActive():
            # Somebody has stopped it, or it is new and nobody is on it.
            guests = self._taps(network) if bridge is None else []
            _bring_up(network, guests, filtered=True)
        if spec.kind != "provider":
            self._tunnels.ensure(spec, network.bridgeName())
        return network

    def _taps(self, network: libvirt.virNetwork) -> list[str]:
        """Return the host's ends of running guests' interfaces on a network, plugged in or not."""
        active = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        found: list[str] = []
        for handle in self._keeper.connection().listAllDomains(active):
            with absent_is_done():
                found += _taps_of(handle, network.name())
        return found

    def _define(self, spec: NetworkSpec, bridge: str | None) -> libvirt.virNetwork:
        handle = self._keeper.connection()
        name = names.network_name(spec.network_id)
        if lookup(handle.networkLookupByName, name) is not None:
            raise ForeignOwner("A network of that name is there and is another.", network=name)
        self._make_room(spec)
        network = handle.networkDefineXML(network_xml(spec, bridge))
        network.setAutostart(1)
        log.info("network.defined", network=name)
        return network

    def _make_room(self, spec: NetworkSpec) -> None:
        """Remove idle networks of ours that have the new one's addresses: the control plane lets no
        two live networks overlap, so these are what is left of deleted ones."""
        wanted = blocks(network_xml(spec)) if spec.kind != "provider" else []
        for network in self._keeper.connection().listAllNetworks(0):
            if not _is_our_own(network):
                continue
            taken = blocks(_on_disk(network))
            if not any(a.version == b.version and a.overlaps(b) for a in wanted for b in taken):
                continue
            if not _is_idle(network):
                raise HostError(
                    "The host still has guests of another network with the same addresses.",
                    network=network.name(),
                )
            self._remove_network(network)

    def _redefine(
        self, network: libvirt.virNetwork, spec: NetworkSpec, bridge: str | None
    ) -> libvirt.virNetwork:
        """Make the network as it is wanted now; libvirt changes little of one that runs."""
        entries = dhcp_entries(_on_disk(network))
        was_active = network.isActive()
        old_bridge = network.bridgeName() if was_active else ""
        guests = links.plugged(old_bridge) if bridge is None and was_active else []
        filtered = links.filtering(old_bridge) if guests else False
        network = self._keeper.connection().networkDefineXML(network_xml(spec, bridge, entries))
        if was_active:
            network.destroy()
            _bring_up(network, guests, filtered=filtered)
        log.info("network.changed", network=network.name())
        return network

    def _remove_network(self, network: libvirt.virNetwork) -> None:
        identifier = network.UUIDString()
        self._tunnels.remove(identifier)
        if network.isActive():
            network.destroy()
        network.undefine()
        provider.remove(identifier)
        self._asked_at.pop(identifier, None)
        log.info("network.removed", network=identifier)

    def _ensure_filter(self, port: PortSpec) -> None:
        """libvirt compares, and sets a filter up anew on a running guest only if it differs."""
        self._keeper.connection().nwfilterDefineXML(filter_xml(port))

    def _remove_entry(self, network: libvirt.virNetwork, mac: str) -> None:
        self._free_lease(network, mac)
        with self._lock:
            for scope in _scopes(network):
                _remove_entries(network, mac, scope)

    def _remove_filter(self, port_id: str) -> None:
        name = names.filter_name(port_id)
        found = lookup(self._keeper.connection().nwfilterLookupByName, name)
        if found is not None:
            with absent_is_done():
                found.undefine()

    def _free_lease(self, network: libvirt.virNetwork, mac: str) -> None:
        """Give the MAC's leases back and see them go. What cannot be given back ends by itself
        after LEASE_S, and `traces` names it until then."""
        if not network.isActive() or not _leases(network, mac):
            return
        own = "string(ip[not(@family='ipv6')]/@address)"
        gateway = etree.fromstring(network.XMLDesc(0)).xpath(own)
        end = time.monotonic() + _RELEASE_LIMIT_S
        while (leases := _leases(network, mac)) and time.monotonic() < end:
            for address in leases:
                _release(network.bridgeName(), mac, address, str(gateway))
            time.sleep(_RELEASE_PAUSE_S)
        if leases:
            log.warning("lease.kept", network=network.name(), addresses=leases)


def _forget_answers(network: libvirt.virNetwork, port: PortSpec) -> None:
    """What a guest of the port answered before proves nothing of the next one."""
    if network.isActive():
        addresses = [held.address for held in port.addresses]
        links.forget_neighbours(network.bridgeName(), addresses)


def _on_disk(network: libvirt.virNetwork) -> str:
    described: str = network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
    return described


def _is_our_own(network: libvirt.virNetwork) -> bool:
    return is_ours(_on_disk(network))


def _is_idle(network: libvirt.virNetwork) -> bool:
    """Say whether nothing hangs on it, and nothing is about to: no entry, no interface."""
    if dhcp_entries(_on_disk(network)):
        return False
    if not network.isActive():
        return True
    tunnel = names.tunnel_name(network.UUIDString())
    uplink = names.vlan_link_name(network.UUIDString())
    return not set(links.plugged(network.bridgeName())) - {tunnel, uplink}


def _bring_up(network: libvirt.virNetwork, guests: Sequence[str], *, filtered: bool) -> None:
    """Start a network, and plug these interfaces in again: libvirt plugs one in only when it starts
    its guest. A bridge that is new is not filtered (`filter_bridge` of the firewall is), so that
    comes first: not one packet may pass by the security groups."""
    network.create()
    if not guests:
        return
    links.set_filtering(network.bridgeName(), filtered=filtered)
    for guest in guests:
        links.plug(guest, network.bridgeName())
    log.info("network.plugged", network=network.name(), interfaces=guests)


def _taps_of(handle: libvirt.virDomain, network: str) -> list[str]:
    """Return the host's ends of a running guest's interfaces on a network."""
    described = etree.fromstring(handle.XMLDesc(0)).iterfind("devices/interface")
    found = [each for each in described if each.find(f"source[@network='{network}']") is not None]
    return [str(target.get("dev")) for each in found for target in each.iterfind("target")]


def _refuse_foreign(network: libvirt.virNetwork) -> None:
    if not _is_our_own(network):
        raise ForeignOwner("A network that is not ours has that id.", network=network.UUIDString())


def _release(bridge: str, mac: str, address: str, gateway: str) -> None:
    try:
        send_release(bridge, mac, address, gateway)
    except OSError as error:
        # The bridge may be on its way down, and its leases with it.
        log.warning("lease.release_failed", bridge=bridge, address=address, problem=str(error))


def _scopes(network: libvirt.virNetwork) -> list[int]:
    """Return where entries are to be kept: what is on disk, and what runs, if it runs."""
    kept = [libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG]
    return [*kept, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE] if network.isActive() else kept


def _described(network: libvirt.virNetwork, scope: int) -> str:
    if scope == libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG:
        return _on_disk(network)
    described: str = network.XMLDesc(0)
    return described


def _entries(network: libvirt.virNetwork, scope: int) -> list[DhcpEntry]:
    return dhcp_entries(_described(network, scope))


def _own_entries(network: libvirt.virNetwork, mac: str, scope: int) -> list[DhcpEntry]:
    return [entry for entry in _entries(network, scope) if entry.mac == mac.lower()]


def _ensure_entries(network: libvirt.virNetwork, port: PortSpec, hostname: str, scope: int) -> None:
    description = _described(network, scope)
    entries = dhcp_entries(description)
    wanted = wanted_entries(description, port, hostname, entries)
    addresses = {entry.address for entry in wanted}
    for entry in entries:
        # The address was somebody else's before, or the port had another: both are over.
        is_old = entry.mac == port.mac.lower() or entry.address in addresses
        if is_old and entry not in wanted:
            _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, entry, scope)
    for entry in wanted:
        if entry not in entries:
            _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, entry, scope)


def _remove_entries(network: libvirt.virNetwork, mac: str, scope: int) -> None:
    for entry in _own_entries(network, mac, scope):
        _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, entry, scope)


def _update(network: libvirt.virNetwork, command: int, entry: DhcpEntry, scope: int) -> None:
    index = entry_index(_described(network, scope), entry)
    section = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
    network.update(command, section, index, entry.xml(), scope)


def _leases(network: libvirt.virNetwork, mac: str) -> list[str]:
    """Return the IPv4 addresses that are leased to the MAC now. Those of IPv6 are only given to who
    has the entry for them, and keep nobody waiting."""
    leases = network.DHCPLeases(mac, 0)
    return [lease["ipaddr"] for lease in leases if lease["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4]
