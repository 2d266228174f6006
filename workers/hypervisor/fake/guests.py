"""What a fake host's guests show of themselves: their boot, their consoles, what they have used."""

from tasks.errors import NoConsole
from tasks.messages import ConsoleKind, Diagnosis, PortSpec
from workers.hypervisor.fake.consoles import serve_console
from workers.hypervisor.fake.diagnosis import use_of
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.port import Observation


class Guests(Host):
    """The port's verbs that look at guests."""

    @verb
    def observe(self, server_id: str, ports: list[PortSpec]) -> Observation:
        """Show a guest that is up once its time has passed. Raises ForeignOwner."""
        domain = self._find(server_id)
        if domain is None:
            return Observation(state=None, agent=None, console="")
        guest = self._state.guests[server_id]
        up = self._is_up(server_id, guest)
        if up and "login:" not in guest.console:
            console = f"{domain.server_id} login: "
            guest = self._change(server_id, console=console, told=False)
        known = [a.address for p in ports if p.port_id in self._ports for a in p.addresses]
        return Observation(
            state=guest.state,
            addresses=known if up else [],
            agent=True if up else None,
            console=guest.console,
            first_boot=up if server_id in self._state.asked else None,
            first_boot_result="ok" if up and server_id in self._state.asked else "",
        )

    @verb
    def console(self, server_id: str) -> str:
        """Return what a guest that is up has written."""
        self._find(server_id)
        guest = self._state.guests.get(server_id)
        up = guest is not None and self._is_up(server_id, guest)
        return f"{server_id} login: " if up else ""

    @verb
    def diagnose(self, server_id: str) -> Diagnosis:
        """Count the time since the guest began. Raises ForeignOwner, NotRunning."""
        guest = self._on(server_id)
        return use_of(guest, self._now() - guest.started_at)

    @verb
    def open_console(self, server_id: str, kind: ConsoleKind) -> int:
        """Return one end of a pair of sockets; a screen, or an echo, is at the other one. Raises
        ForeignOwner, NotRunning, NoConsole."""
        guest = self._on(server_id)
        if kind == "vnc" and guest.spec.machine.hardware.video_model == "none":
            raise NoConsole("The server has no graphics card.", server=server_id)
        return serve_console(kind, server_id, lambda: self._shows(server_id))

    def _shows(self, server_id: str) -> bool:
        """Say whether the guest's machine is on, as whoever looks at its console sees."""
        with self.lock:
            guest = self._state.guests.get(server_id)
            return guest is not None and guest.state in {"running", "paused"}
