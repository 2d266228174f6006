"""A fake host's domains: defined, started, changed and removed."""

from pathlib import Path

from tasks.errors import Conflict, HostError, HostFull, StaleMessage
from tasks.messages import DomainSpec, Job, MachineSpec, Outline, Password, PortSpec, StoredFormat
from workers.hypervisor import names
from workers.hypervisor.fake.domain_xml import fake_xml
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import DIRECTORY, Host, domain_of, own_processors
from workers.hypervisor.fake.state import Guest
from workers.hypervisor.fake.things import add_file, remove_what_hangs_on_it
from workers.hypervisor.own_disks import disks_to_be
from workers.hypervisor.port import NO_AGENT, Domain


class Domains(Host):
    """The port's verbs for domains."""

    @verb
    def find(self, server_id: str) -> Domain | None:
        """Return the server's domain, or None. Raises ForeignOwner."""
        return self._find(server_id)

    @verb
    def define(self, job: Job, spec: DomainSpec) -> Domain:
        """Note the domain. Raises ForeignOwner, HostError if a disk is not there, StaleMessage."""
        found = self._find(job.server_id)
        _refuse_older_attempt(found, job)
        missing = [disk.path for disk in spec.disks if not self._has_disk(disk.path)]
        if missing:
            raise HostError("A disk of the server is not there.", missing=missing)
        self._refuse_without_processors(job.server_id, spec.machine)
        if found is None:
            self._state.guests[job.server_id] = Guest(owner=job, spec=spec)
        elif (found.run_id, found.attempt) != (job.run_id, job.attempt):
            self._change(job.server_id, owner=job, spec=spec, quarantined=False, told=False)
        return domain_of(self._state.guests[job.server_id])

    @verb
    def describe(self, job: Job, outline: Outline, image_format: StoredFormat) -> str:
        """Describe the domain. Raises HostFull."""
        self._refuse_without_processors(job.server_id, outline.machine)
        disks = disks_to_be(Path(DIRECTORY), job.server_id, outline.machine, image_format)
        return fake_xml(job, outline, disks)

    @verb
    def start(self, server_id: str) -> Domain:
        """Let the guest begin to boot. Raises ForeignOwner, HostError, HostFull."""
        guest = self._there(server_id)
        if guest.quarantined:
            raise HostError("The domain to start is in quarantine.", server=server_id)
        self._firewall_lost = False
        if guest.spec.machine.memory_mib > self.memory_mib:
            raise HostFull("The host has not enough memory to start the server.")
        if guest.state != "running":
            add_file(self._state, names.console_file(server_id))
            if guest.spec.machine.hardware.firmware == "uefi":
                add_file(self._state, names.nvram_file(server_id))
            goes_on = guest.saved or guest.state == "paused"
            started_at = guest.started_at if goes_on else self._now()
            self._change(server_id, state="running", started_at=started_at, saved=False)
        return domain_of(self._state.guests[server_id])

    @verb
    def shut_down(self, server_id: str) -> None:
        """Stop a guest that is up; one that is booting, paused or hung hears nothing. Raises
        ForeignOwner, HostError."""
        guest = self._there(server_id)
        if self._is_up(server_id, guest):
            self._change(server_id, state="shutoff")

    @verb
    def cut_power(self, server_id: str) -> None:
        """Turn the guest off and forget its memory. Raises ForeignOwner."""
        if self._find(server_id) is not None:
            off = self._state.guests[server_id].state in {"shutoff", "crashed"}
            state = self._state.guests[server_id].state if off else "shutoff"
            self._change(server_id, state=state, saved=False, told=not off)

    @verb
    def pause(self, server_id: str) -> None:
        """Let the guest stand still. Raises ForeignOwner, HostError."""
        if self._there(server_id).state not in {"running", "paused"}:
            raise HostError("The server does not run.", server=server_id)
        if self._state.guests[server_id].state == "running":
            self._change(server_id, state="paused")

    @verb
    def suspend(self, server_id: str) -> None:
        """Turn the guest off with its memory saved. Raises ForeignOwner, HostError."""
        guest = self._there(server_id)
        if guest.state in {"running", "paused"}:
            self._change(server_id, state="shutoff", saved=True)
        elif not guest.saved:
            raise HostError("The server does not run.", server=server_id)

    @verb
    def attach_port(self, server_id: str, port: PortSpec, machine: MachineSpec) -> None:
        """Note the interface. Raises ForeignOwner, HostError."""
        spec = self._there(server_id).spec
        if port.port_id not in [each.port_id for each in spec.ports]:
            self._wire(server_id, [*spec.ports, port])

    @verb
    def detach_port(self, server_id: str, port: PortSpec) -> bool:
        """Forget the interface, unless the guest runs and is not up. Raises ForeignOwner."""
        if self._find(server_id) is None:
            return True
        guest = self._state.guests[server_id]
        left = [each for each in guest.spec.ports if each.port_id != port.port_id]
        if len(left) == len(guest.spec.ports):
            return True
        if guest.state != "shutoff" and not self._is_up(server_id, guest):
            return False
        self._wire(server_id, left)
        return True

    @verb
    def set_password(self, server_id: str, password: Password) -> None:
        """Note the password of a guest that is up. Raises ForeignOwner, HostError, Conflict."""
        guest = self._there(server_id)
        if guest.state != "running":
            raise HostError("The server does not run.", server=server_id)
        if not guest.spec.machine.hardware.guest_agent or not self._is_up(server_id, guest):
            raise Conflict(NO_AGENT)
        self.passwords[server_id] = password

    @verb
    def inject_nmi(self, server_id: str) -> None:
        """Count it; the guest goes on. Raises ForeignOwner, HostError."""
        if self._there(server_id).state not in {"running", "paused"}:
            raise HostError("The server does not run.", server=server_id)
        self.nmis[server_id] += 1

    @verb
    def remove_domain(self, server_id: str) -> None:
        """Forget the domain and its console log. Raises ForeignOwner."""
        self._find(server_id)
        self._forget(server_id)
        remove_what_hangs_on_it(self._state, server_id)

    def _refuse_without_processors(self, server_id: str, machine: MachineSpec) -> None:
        if own_processors(machine) > self._free_processors(server_id):
            raise HostFull("The host has not enough processors left to give away.")

    def _wire(self, server_id: str, ports: list[PortSpec]) -> None:
        spec = self._state.guests[server_id].spec.model_copy(update={"ports": ports})
        self._change(server_id, spec=spec, told=False)


def _refuse_older_attempt(found: Domain | None, job: Job) -> None:
    if found is not None and found.run_id == job.run_id and found.attempt > job.attempt:
        raise StaleMessage("The domain belongs to a newer attempt.", attempt=found.attempt)
