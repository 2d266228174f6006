"""The packet filter of this host: security groups, and what guests may ask of the host itself.

Effect  one table of nftables (`inet byre_firewall`), a switch on each bridge that lets the packet
        filter see what crosses it, and one file: all that was told, so that the table can be made
        again without the control plane.
Repeat  only what differs is changed, in one transaction. A table that is not the one that was
        left, or is gone, is made anew as a whole.
Undo    `remove` takes the ports' parts and forgets their connections; with the last port the table
        goes, and the file.
"""

import fcntl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from lxml import etree
from pydantic import ValidationError

from tasks.errors import HostError
from tasks.messages import FirewallSpec, PortSpec, Thing
from workers.hypervisor import names
from workers.hypervisor.files import replacing
from workers.hypervisor.firewall_state import (
    STATE_FILE,
    FirewallState,
    HostNetwork,
    merged,
    nets_of,
    without,
)
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.firewall import connections, cuts, kernel
from workers.hypervisor.libvirt.firewall.expressions import Json
from workers.hypervisor.libvirt.firewall.filters import filter_xml
from workers.hypervisor.libvirt.firewall.ruleset import Ruleset, changes, whole
from workers.hypervisor.libvirt.firewall.table import table, zone_of
from workers.hypervisor.libvirt.lookup import lookup
from workers.hypervisor.libvirt.routes import Routes
from workers.hypervisor.libvirt.turns import Turns
from workers.hypervisor.things import rules_thing

log = structlog.get_logger(__name__)

#: libvirt's chains for what a guest's interface sends and gets, in its tables of family bridge.
_LIBVIRT_CHAIN = "libvirt-I-"


class HostFirewall:
    """The packet filter of one host, for the threads of one process and for others beside it."""

    def __init__(
        self,
        keeper: Keeper,
        state_dir: Path,
        turns: Turns,
        physical_networks: Mapping[str, str] | None = None,
    ) -> None:
        self._keeper = keeper
        self._turns = turns
        self._routes = Routes(physical_networks or {})
        self._file = state_dir / STATE_FILE
        #: Is there while connections may be open that the state does not allow.
        self._unsettled = state_dir / "firewall.unsettled"
        #: The state that was told last, and its table: to make it takes longer than to compare.
        self._known = FirewallState()
        self._table_of_known = table(self._known)

    def ensure(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """See the port."""
        with self._held():
            old = self._read()
            self._change(old, merged(old, firewall, ports, self._networks(ports)))
        self._settle()

    def update(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """See the port."""
        with self._held():
            old, filters = self._read(), self._filters()
            here = [port for port in ports if names.filter_name(port.port_id) in filters]
            coming = [port for port in ports if names.filter_name(port.port_id) not in filters]
            self._change(old, merged(old, firewall, here, self._networks(here), coming))
        self._settle()

    def remove(self, port_ids: Iterable[str]) -> None:
        """Remove what belongs to these ports. Raises HostError, HostBusy."""
        wanted = {names.checked(port_id) for port_id in port_ids}
        with self._held():
            old = self._read()
            gone = [old.ports[port_id] for port_id in wanted & old.ports.keys()]
            if gone:
                self._carry_out(old, without(old, wanted))
        # Whoever has one of their addresses next shall not get its answers.
        for port in gone:
            network = old.networks.get(port.network_id)
            for one in {one for _, one in nets_of(port) if one.num_addresses == 1}:
                if network is not None:
                    connections.forget_of(one, zone_of(network))
        self._settle()

    def traces(self, port_id: str) -> list[str]:
        """Name what the host still has of the port."""
        with self._held():
            return [f"firewall rules of port {port_id}"] if port_id in self._read().ports else []

    def things(self) -> list[Thing]:
        """Return what a survey shows: one thing for each port."""
        with self._held():
            return [rules_thing(port_id) for port_id in self._read().ports]

    def is_intact(self) -> bool:
        """Say whether the kernel still has what was put there. Three questions to it, whatever the
        number of ports. Raises HostError, HostBusy."""
        with self._held():
            state = self._read()
            if not state.ports:
                return True
            if not self._has_table(state) or not self._has_filters(state):
                return False
            return self._routes.is_intact(state)

    def refused_floating_ips(self) -> list[str]:
        """Return the ids of those that the host was told of and cannot have."""
        return sorted(self._routes.refused)

    def ensure_table(self) -> None:
        """Put back all that was told if our part of it is gone: a guest is about to start behind
        it. Raises as `restore`."""
        with self._held():
            state = self._read()
            if state.ports and not self._has_table(state):
                self._restore(state)

    def restore(self) -> None:
        """Put back all that was told, as a whole, and have libvirt do the same with its filters.
        Raises HostGone, HostError, HostBusy."""
        with self._held():
            state = self._read()
            if state.ports:
                self._restore(state)

    # --- inside ----------------------------------------------------------------------------------

    def _has_table(self, state: FirewallState) -> bool:
        there = kernel.bridges()
        bridges = _bridges(state) & there.keys()
        is_ours = kernel.marker() == self._table(state).marker()
        return is_ours and all(there[bridge] for bridge in bridges)

    def _has_filters(self, state: FirewallState) -> bool:
        bridges = _bridges(state)
        if not _unfiltered_taps(bridges):
            return True
        # A guest that is being started has its interfaces before their filters.
        with self._turns.ours():
            return not _unfiltered_taps(bridges)

    def _restore(self, state: FirewallState) -> None:
        log.warning("firewall.restored", ports=len(state.ports))
        self._switch_on(state)
        self._apply(whole(self._table(state)))
        self._route(state)
        self._renew_filters(state.ports.values(), int(time.time()))

    def _apply(self, commands: list[Json]) -> None:
        if commands:
            with self._turns.ours():
                kernel.apply(commands)

    def _change(self, old: FirewallState, new: FirewallState) -> None:
        self._carry_out(old, new)
        known = old.ports.keys() & new.ports.keys()
        self._renew_filters(new.ports[i] for i in known if new.ports[i] != old.ports[i])

    def _carry_out(self, old: FirewallState, new: FirewallState) -> None:
        """What is written was carried out: what the kernel refuses is not tried for ever."""
        if new.ports:
            self._switch_on(new)
            before, after = self._table(old), self._table(new)
            mark = kernel.marker()
            known = mark is not None and mark == before.marker()
            self._apply(changes(before, after, mark=mark) if known else whole(after))
            if _may_narrow(old, new):
                self._unsettled.touch()
        elif old.ports:
            with self._turns.ours():
                kernel.remove_table()
        if _has_routing(old) or _has_routing(new):
            self._route(new)
            # Whoever came before, or stays, with an address that leads elsewhere now.
            for address in _moved(old, new):
                connections.forget_translated(address)
        self._write(new)

    def _route(self, state: FirewallState) -> None:
        with self._turns.ours():
            self._routes.ensure(state)

    def _settle(self) -> None:
        """Cut connections as the newest state says. That takes half a millisecond for each, which
        builds and heartbeats must not wait for; what was not ended is done by the next call."""
        with self._alone("firewall.settling"):
            if not self._unsettled.exists():
                return
            with self._held():
                state = self._read()
            cuts.settle(state)
            with self._held():
                # Who changed it meanwhile settles after this.
                if self._read() == state:
                    self._unsettled.unlink()

    def _switch_on(self, state: FirewallState) -> None:
        kernel.load_bridge_filter()
        there = kernel.bridges()
        for network in state.networks.values():
            if there.get(network.bridge) is False:
                kernel.filter_bridge(network.bridge)

    def _table(self, state: FirewallState) -> Ruleset:
        if self._known != state:
            self._known, self._table_of_known = state, table(state)
        return self._table_of_known

    def _networks(self, ports: Iterable[PortSpec]) -> dict[str, HostNetwork]:
        """Return the networks of these ports as libvirt has them. Raises HostError if one is not
        there: its ports could not be kept to anything."""
        found = {}
        with translated("look up the networks of its packet filter"):
            handle = self._keeper.connection()
            for network_id in sorted({port.network_id for port in ports}):
                network = lookup(handle.networkLookupByUUIDString, names.checked(network_id))
                if network is None:
                    raise HostError("A network of the server is not there.", network=network_id)
                found[network_id] = _host_network(network_id, network.XMLDesc(0))
        return found

    def _filters(self) -> set[str]:
        """Return the names of all of libvirt's packet filters."""
        with translated("look up its packet filters"):
            return {found.name() for found in self._keeper.connection().listAllNWFilters()}

    def _renew_filters(self, ports: Iterable[PortSpec], generation: int = 0) -> None:
        """Running guests get the filter as it is now: libvirt sets up anew what has changed, and
        by another generation everything has."""
        with translated("set up its packet filters anew"):
            handle = self._keeper.connection()
            for port in ports:
                name = names.filter_name(port.port_id)
                if lookup(handle.nwfilterLookupByName, name) is not None:
                    handle.nwfilterDefineXML(filter_xml(port, generation))

    def _read(self) -> FirewallState:
        """Raises HostError for a file that is none of ours: what it says must not be guessed."""
        try:
            return FirewallState.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return FirewallState()
        except (OSError, ValidationError) as error:
            raise HostError(
                "The host's memory of its packet filter cannot be read.",
                file=str(self._file),
                problem=str(error)[:500],
            ) from error

    def _write(self, state: FirewallState) -> None:
        if not state.ports and not state.expected:
            self._file.unlink(missing_ok=True)
            return
        with replacing(self._file) as (file, _):
            file.write(state.model_dump_json().encode())

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other threads and processes from the state and what was made of it."""
        with self._alone("firewall.lock"):
            yield

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(name).open("w") as lock:
            # Each opens the file for itself, so this keeps threads apart as well.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _host_network(network_id: str, description: str) -> HostNetwork:
    """Return what matters of libvirt's network. Raises MalformedMessage for an odd bridge."""
    network = etree.fromstring(description)
    bridge = network.find("bridge")
    forward = network.find("forward")
    mode = None if forward is None else forward.get("mode", "nat")
    return HostNetwork(
        network_id=network_id,
        bridge=names.checked_device("" if bridge is None else bridge.get("name", "")),
        addresses=[str(ip.get("address")) for ip in network.iterfind("ip") if ip.get("address")],
        provider=mode == "bridge",
        isolated=mode is None,
    )


def _may_narrow(old: FirewallState, new: FirewallState) -> bool:
    """Say whether something may be allowed no more, or again, to a port that was there before."""
    if old.groups != {i: new.groups.get(i) for i in old.groups}:
        return True
    if old.members != {i: new.members.get(i) for i in old.members}:
        return True
    return any(new.ports.get(i, port) != port for i, port in old.ports.items())


def _has_routing(state: FirewallState) -> bool:
    return bool(state.routers or state.floating)


def _moved(old: FirewallState, new: FirewallState) -> set[str]:
    """Return the floating IPs that do not stand for what they did."""
    before, after = (
        {(one.address, one.fixed) for one in state.floating_here()} for state in (old, new)
    )
    return {address for address, _ in before ^ after}


def _bridges(state: FirewallState) -> set[str]:
    return {network.bridge for network in state.networks.values()}


def _unfiltered_taps(bridges: set[str]) -> set[str]:
    """Return the guests' interfaces on these bridges for which libvirt has no filter set up."""
    taps = kernel.taps_on(bridges)
    if not taps:
        return set()
    chains = {name for found in kernel.chains("bridge").values() for name in found}
    return {tap for tap in taps if f"{_LIBVIRT_CHAIN}{tap}" not in chains}
