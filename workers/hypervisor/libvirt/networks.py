"""Networks, static DHCP entries and packet filters of this host.

Effect  a libvirt network for each network, made when its first port comes, with our mark; a DHCP
        entry in it and a filter `byre-port-<id>` for each port.
Repeat  an entry or a filter that is there as wanted is left alone; a network's settings too.
Undo    `remove` takes the entry, the filter and a lease that is left. The network stays.
"""

import threading
import time

import libvirt
import structlog
from lxml import etree

from tasks.errors import ForeignOwner
from tasks.messages import NetworkSpec, PortSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.dhcp_release import send_release
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.lookup import absent_is_done, lookup
from workers.hypervisor.libvirt.network_xml import (
    DhcpEntry,
    dhcp_entries,
    filter_xml,
    is_ours,
    network_xml,
    wanted_entry,
)

log = structlog.get_logger(__name__)

_RELEASE_LIMIT_S = 2.0
_RELEASE_PAUSE_S = 0.02


class Networks:
    """The networks of one host."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        # Reading a network's entries and changing them must not be torn apart by another thread.
        self._lock = threading.Lock()

    def ensure_port(self, spec: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """See the port. Raises ForeignOwner if the network's id or name is somebody else's."""
        # Before anything is made: an entry whose filter cannot be named would have no owner.
        names.filter_name(port.port_id)
        with translated("set up the server's network"), self._lock:
            network = self._ensure_network(spec)
            for scope in _scopes(network):
                _ensure_entry(network, port, hostname, scope)
            self._ensure_filter(port)

    def remove_ports(self, ports: list[PortSpec]) -> None:
        """See the port."""
        for port in ports:
            with translated("remove the server's network"):
                network = self._network(port.network_id)
                if network is not None:
                    self._remove_entry(network, port.mac)
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
        handle = self._keeper.connection()
        network = lookup(handle.networkLookupByUUIDString, names.checked(spec.network_id))
        if network is None:
            name = names.network_name(spec.network_id)
            if lookup(handle.networkLookupByName, name) is not None:
                raise ForeignOwner("A network of that name is there and is another.", network=name)
            network = handle.networkDefineXML(network_xml(spec))
            network.setAutostart(1)
            log.info("network.defined", network=name)
        else:
            _refuse_foreign(network)
        if not network.isActive():
            network.create()
        return network

    def _ensure_filter(self, port: PortSpec) -> None:
        handle = self._keeper.connection()
        if lookup(handle.nwfilterLookupByName, names.filter_name(port.port_id)) is None:
            handle.nwfilterDefineXML(filter_xml(port))

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
        gateway = etree.fromstring(network.XMLDesc(0)).xpath("string(ip/@address)")
        end = time.monotonic() + _RELEASE_LIMIT_S
        while (leases := _leases(network, mac)) and time.monotonic() < end:
            for address in leases:
                _release(network.bridgeName(), mac, address, str(gateway))
            time.sleep(_RELEASE_PAUSE_S)
        if leases:
            log.warning("lease.kept", network=network.name(), addresses=leases)


def _refuse_foreign(network: libvirt.virNetwork) -> None:
    if not is_ours(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)):
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


def _entries(network: libvirt.virNetwork, scope: int) -> list[DhcpEntry]:
    on_disk = scope == libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    return dhcp_entries(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE if on_disk else 0))


def _own_entries(network: libvirt.virNetwork, mac: str, scope: int) -> list[DhcpEntry]:
    return [entry for entry in _entries(network, scope) if entry.mac == mac.lower()]


def _ensure_entry(network: libvirt.virNetwork, port: PortSpec, hostname: str, scope: int) -> None:
    entries = _entries(network, scope)
    wanted = wanted_entry(port, hostname, entries)
    if wanted in entries:
        return
    for entry in entries:
        # The address was somebody else's before, or the port had another: both are over.
        if entry.mac == wanted.mac or entry.address == wanted.address:
            _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, entry, scope)
    _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, wanted, scope)


def _remove_entries(network: libvirt.virNetwork, mac: str, scope: int) -> None:
    for entry in _own_entries(network, mac, scope):
        _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, entry, scope)


def _update(network: libvirt.virNetwork, command: int, entry: DhcpEntry, scope: int) -> None:
    network.update(command, libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, entry.xml(), scope)


def _leases(network: libvirt.virNetwork, mac: str) -> list[str]:
    """Return the addresses that are leased to the MAC now."""
    return [lease["ipaddr"] for lease in network.DHCPLeases(mac, 0)]
