"""A fake host's networks, ports and security groups, as they were asked for."""

from collections.abc import Collection

from tasks.errors import HostError
from tasks.messages import FirewallSpec, NetworkSpec, PortSpec
from workers.hypervisor import names
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.things import keep_rules, remove_rules, rules_of
from workers.hypervisor.firewall_state import HostNetwork, merged


class Networks(Host):
    """The port's verbs for networks."""

    @verb
    def ensure_network(self, network: NetworkSpec) -> None:
        """Note the network as it is wanted. Raises HostError without its physical network."""
        names.network_name(network.network_id)
        if network.kind == "provider" and network.physical_network not in self._physical_networks:
            raise HostError("The host does not have the network's physical network.")
        self.networks[network.network_id] = network

    @verb
    def networks_intact(self, network_ids: Collection[str]) -> bool:
        """Say whether they are there: a test may take one away."""
        return self.networks.keys() >= set(network_ids)

    @verb
    def remove_idle_networks(self, keep: Collection[str]) -> None:
        """Forget networks that no port is on."""
        used = {port.network_id for port in self._ports.values()} | set(keep)
        for network_id in set(self.networks) - used:
            del self.networks[network_id]

    @verb
    def ensure_port(self, network: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """Note the port: its network, its DHCP entry and its filter."""
        names.network_name(network.network_id)
        self.networks[network.network_id] = network
        names.filter_name(port.port_id)
        self._ports[port.port_id] = port
        self._state.filters[port.port_id] = port

    @verb
    def remove_ports(self, server_id: str, ports: list[PortSpec]) -> None:
        """Forget the ports."""
        names.checked(server_id)
        for port in ports:
            self._ports.pop(port.port_id, None)
            self._state.filters.pop(port.port_id, None)
        remove_rules(self._state, [names.checked(port.port_id) for port in ports])

    @verb
    def ensure_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """Note what these ports' groups allow. Raises MalformedMessage."""
        self._note_rules(firewall, ports)

    @verb
    def update_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """Note what the groups of those ports allow that are here. Raises MalformedMessage."""
        here = [port for port in ports if port.port_id in self._state.filters]
        self._note_rules(firewall, here, [port for port in ports if port not in here])

    @verb
    def firewall_intact(self) -> bool:
        """Say whether nobody has called `lose_firewall` since it was put there."""
        return not self._firewall_lost

    @verb
    def restore_firewall(self) -> None:
        """Have it again."""
        self._firewall_lost = False

    @verb
    def refused_floating_ips(self) -> list[str]:
        """Return those that are on a physical network that the host does not have."""
        return [
            one.floating_id
            for one in rules_of(self._state).floating_here()
            if one.external.physical_network not in (None, *self._physical_networks)
        ]

    def _note_rules(
        self,
        firewall: FirewallSpec,
        ports: list[PortSpec],
        expected: list[PortSpec] | None = None,
    ) -> None:
        networks = {
            port.network_id: HostNetwork(
                network_id=port.network_id, bridge=names.bridge_name(port.network_id)
            )
            for port in ports
        }
        known = rules_of(self._state)
        keep_rules(self._state, merged(known, firewall, ports, networks, expected))
        self._firewall_lost = False
