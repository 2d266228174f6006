"""What others do on a fake host, and what tests see there that the port does not tell."""

from tasks.messages import DomainSpec, DomainState
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.state import There
from workers.hypervisor.fake.things import rules_of
from workers.hypervisor.firewall_state import FirewallState


class Incidents(Host):
    """What happens to a host by itself, at a test's word."""

    def plant_foreign_domain(self, server_id: str) -> None:
        """Put a domain of that UUID there that is not ours."""
        with self.lock:
            self._state.foreign[server_id] = There()

    def forget_domain(self, server_id: str) -> None:
        """Take the domain away, whoever's it is, as an operator may."""
        with self.lock:
            self._state.foreign.pop(server_id, None)
            self._forget(server_id)
        self.settle()

    def end_guest(self, server_id: str, state: DomainState = "shutoff") -> None:
        """Let the guest stop by itself (`shutoff`) or die (`crashed`)."""
        with self.lock:
            self._change(server_id, state=state)
        self.settle()

    def lose_firewall(self) -> None:
        """Let the host's rules be flushed, as an operator may."""
        with self.lock:
            self._firewall_lost = True

    def spec_of(self, server_id: str) -> DomainSpec:
        """Return the server's domain as it was defined."""
        with self.lock:
            return self._state.guests[server_id].spec

    def firewall(self) -> FirewallState:
        """Return what the host was told of its ports' security groups."""
        with self.lock:
            return rules_of(self._state)
