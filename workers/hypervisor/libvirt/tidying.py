"""Puts things of a survey out of action, or removes them: each kind by the part that knows it.

Effect  the one thing that is named, never more; a domain goes with what hangs on it.
Repeat  absent is done; so is a thing that was seen in quarantine and has been taken back into use.
"""

from tasks.messages import Thing
from workers.hypervisor.libvirt.disks import Disks
from workers.hypervisor.libvirt.domains import Domains
from workers.hypervisor.libvirt.firewall.host import HostFirewall
from workers.hypervisor.libvirt.networks import Networks
from workers.hypervisor.shelf import Shelf
from workers.hypervisor.things import check, mac_and_network_of, port_of, server_of


class Tidying:
    """What can be done to things that nobody owns."""

    def __init__(
        self,
        domains: Domains,
        disks: Disks,
        networks: Networks,
        firewall: HostFirewall,
        consoles: Shelf,
        guest_data: Shelf,
    ) -> None:
        self._domains = domains
        self._disks = disks
        self._networks = networks
        self._firewall = firewall
        self._consoles = consoles
        self._guest_data = guest_data

    def quarantine(self, thing: Thing) -> None:
        """See the port. Raises MalformedMessage for a name that the kind cannot have."""
        check(thing)
        match thing.kind:
            case "domain":
                if self._is_as_seen(thing):
                    self._domains.quarantine(server_of(thing))
            case "disk" | "extra_disk" | "config_drive" | "nvram":
                self._disks.shelf.set_aside(thing)
            case "console_log":
                self._consoles.set_aside(thing)
            case "first_boot":
                self._guest_data.set_aside(thing)
            case "dhcp_entry" | "filter" | "firewall":
                """Nothing in it is worth looking at, and nothing is out of action by it."""

    def discard(self, thing: Thing) -> None:
        """See the port. Raises MalformedMessage for a name that the kind cannot have."""
        check(thing)
        match thing.kind:
            case "domain":
                if self._is_as_seen(thing):
                    self._domains.remove(server_of(thing))
            case "disk" | "extra_disk" | "config_drive" | "nvram":
                self._disks.discard(thing)
            case "console_log":
                self._consoles.remove(thing)
            case "first_boot":
                self._guest_data.remove(thing)
            case "dhcp_entry":
                mac, network_id = mac_and_network_of(thing)
                self._networks.discard_entry(network_id, mac)
            case "filter":
                self._networks.discard_filter(port_of(thing))
            case "firewall":
                self._firewall.remove([port_of(thing)])

    def _is_as_seen(self, thing: Thing) -> bool:
        """A domain that was seen in quarantine and is there no more was defined anew: by a run,
        which owns it."""
        return not thing.quarantined or self._domains.is_quarantined(server_of(thing))
