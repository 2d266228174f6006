"""What is on a fake host, and putting what nobody owns out of action."""

from tasks.messages import PortSpec, Thing
from workers.hypervisor import names
from workers.hypervisor.fake.disks import disk_files
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import DIRECTORY, Host
from workers.hypervisor.fake.state import Guest
from workers.hypervisor.fake.things import (
    all_things,
    remove_thing,
    remove_what_hangs_on_it,
    rules_of,
    set_file_aside,
)
from workers.hypervisor.things import check, server_of


class Tidying(Host):
    """The port's verbs for what nobody may own any more."""

    @verb
    def traces(self, server_id: str, ports: list[PortSpec]) -> list[str]:
        """Name what is still noted of the server. Raises ForeignOwner."""
        domain = self._find(server_id)
        found = [] if domain is None else [f"domain {names.domain_name(server_id)}"]
        for name in disk_files(self._state, server_id):
            found += [f"disk {DIRECTORY}{name}"] if name in self._state.files else []
        console = names.console_file(server_id)
        found += [f"console {DIRECTORY}{console}"] if console in self._state.files else []
        for port in ports:
            if port.port_id in self._ports:
                found.append(f"dhcp entry {port.mac}")
            if port.port_id in self._state.filters:
                found.append(f"filter {names.filter_name(port.port_id)}")
            if port.port_id in rules_of(self._state).ports:
                found.append(f"firewall rules of port {port.port_id}")
        return found

    @verb
    def survey(self) -> list[Thing]:
        """Return everything with our mark."""
        return all_things(self._state)

    @verb
    def quarantine(self, thing: Thing) -> None:
        """Stop and mark a domain, set a file aside. Raises ForeignOwner, MalformedMessage."""
        check(thing)
        if thing.kind == "domain":
            guest = self._as_seen(thing)
            if guest is not None:
                stopped = "shutoff" if guest.state in {"running", "paused"} else guest.state
                self._change(
                    server_of(thing),
                    state=stopped,
                    quarantined=True,
                    told=stopped != guest.state,
                )
        elif thing.kind not in {"dhcp_entry", "filter", "firewall"}:
            set_file_aside(self._state, thing)

    @verb
    def discard(self, thing: Thing) -> None:
        """Forget the thing. Raises ForeignOwner, MalformedMessage."""
        check(thing)
        if thing.kind != "domain":
            remove_thing(self._state, thing)
        elif self._as_seen(thing) is not None or not thing.quarantined:
            self._forget(server_of(thing))
            remove_what_hangs_on_it(self._state, server_of(thing))

    def _as_seen(self, thing: Thing) -> Guest | None:
        """Return the guest, unless it was seen in quarantine and has been defined anew since."""
        self._find(server_of(thing))
        guest = self._state.guests.get(server_of(thing))
        return guest if guest and guest.quarantined >= thing.quarantined else None
