"""One look through the host for everything that carries our mark. Changes nothing.

Cost    one listing of domains, networks and filters each; of every domain its marks and its state,
        which no running job of the domain delays; of every network its description.
Repeat  what goes away while the look lasts is left out.
"""

import libvirt

from tasks.messages import Thing
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.domains import state_of
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.lookup import absent_is_done
from workers.hypervisor.libvirt.marks import is_ours, is_quarantined
from workers.hypervisor.libvirt.network_xml import dhcp_entries
from workers.hypervisor.libvirt.network_xml import is_ours as is_our_network
from workers.hypervisor.shelf import Shelf
from workers.hypervisor.things import dhcp_thing, domain_thing, filter_thing


def survey(keeper: Keeper, shelves: list[Shelf]) -> list[Thing]:
    """See the port. Raises HostGone, HostError."""
    found: list[Thing] = []
    with translated("look through the host"):
        handle = keeper.connection()
        for domain in handle.listAllDomains(0):
            with absent_is_done():
                found += _domain(domain)
        for network in handle.listAllNetworks(0):
            with absent_is_done():
                found += _entries(network)
        for packet_filter in handle.listAllNWFilters(0):
            thing = filter_thing(packet_filter.name())
            found += [thing] if thing else []
    return found + [thing for shelf in shelves for thing in shelf.things()]


def _domain(handle: libvirt.virDomain) -> list[Thing]:
    if not is_ours(handle):
        return []
    quarantined = is_quarantined(handle)
    return [domain_thing(handle.UUIDString(), state_of(handle), quarantined=quarantined)]


def _entries(network: libvirt.virNetwork) -> list[Thing]:
    """Return the entries on disk, and what else the running network has."""
    on_disk = network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)
    if not is_our_network(on_disk):
        return []
    entries = dhcp_entries(on_disk) + dhcp_entries(network.XMLDesc(0))
    macs = sorted({entry.mac for entry in entries})
    return [dhcp_thing(network.UUIDString(), mac) for mac in macs]
