"""Values for the drivers' tests: a server with one port on a network of the test session."""

import itertools
import time
import uuid
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from tasks.messages import (
    BootProof,
    BuildSpec,
    DiskRef,
    DomainSpec,
    FirewallSpec,
    FirstBoot,
    ImageSource,
    Job,
    MachineSpec,
    NetworkSpec,
    PortAddress,
    PortSpec,
    SubnetSpec,
    Thing,
    ThingKind,
)
from workers.hypervisor.port import Hypervisor

NETWORK = NetworkSpec(
    network_id=str(uuid.uuid4()),
    name="private",
    mtu=1400,
    subnets=[
        SubnetSpec(
            subnet_id=str(uuid.uuid4()),
            version=4,
            cidr="10.177.0.0/24",
            gateway="10.177.0.1",
            host_address="10.177.0.1",
            dns=["9.9.9.9"],
        )
    ],
)
_NUMBERS = itertools.count(10)


def make_port(network: NetworkSpec = NETWORK) -> PortSpec:
    """Return a port that no other test has."""
    number = next(_NUMBERS)
    return PortSpec(
        port_id=str(uuid.uuid4()),
        network_id=network.network_id,
        mac=f"fa:16:3e:00:{number >> 8:02x}:{number & 0xFF:02x}",
        # Addresses come round again, long after the test that had them.
        addresses=[
            PortAddress(
                subnet_id=network.subnets[0].subnet_id,
                address=str(IPv4Network(network.subnets[0].cidr)[number % 200 + 10]),
                prefix_length=24,
            )
        ],
    )


def make_job(**changes: object) -> Job:
    """Return the job of a new server."""
    values = {
        "pipeline": "create",
        "run_id": str(uuid.uuid4()),
        "attempt": 1,
        "server_id": str(uuid.uuid4()),
        "project_id": str(uuid.uuid4()),
        "request_id": f"req-{uuid.uuid4()}",
        "deadline": time.time() + 600,
    }
    return Job.parse({**values, **changes})


def make_first_boot(**changes: object) -> FirstBoot:
    """Return what a guest is told."""
    values = {
        "hostname": "web-1",
        "name": "web 1",
        "availability_zone": "nova",
        "public_keys": {"mine": "ssh-ed25519 AAAA me@here"},
        "metadata": {"role": "web"},
        "user_data": "",
        "admin_pass": "",
    }
    return FirstBoot.parse({**values, **changes})


@dataclass
class Server:
    """One server of a test, and the steps that build it in order."""

    image: ImageSource
    job: Job = field(default_factory=make_job)
    port: PortSpec = field(default_factory=make_port)
    first_boot: FirstBoot = field(default_factory=make_first_boot)
    name: str = "web 1"
    memory_mib: int = 128
    #: What else the flavor and the image ask for.
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return the address of its one port."""
        return self.port.addresses[0].address

    @property
    def server_id(self) -> str:
        """Return the server's id."""
        return self.job.server_id

    def disks(self, host: Hypervisor) -> list[DiskRef]:
        """Have the image, the root disk and the config drive."""
        host.ensure_image(self.image)
        root = host.ensure_root_disk(self.server_id, self.image, 1)
        extra = host.ensure_extra_disks(self.server_id, self.image, self.machine_spec())
        drive = host.ensure_config_drive(
            self.server_id, self.job.project_id, self.first_boot, [NETWORK], [self.port]
        )
        return [root, *extra, drive]

    def resources(self, host: Hypervisor) -> DomainSpec:
        """Have all that the domain needs."""
        host.ensure_port(NETWORK, self.port, self.first_boot.hostname)
        host.ensure_firewall(FirewallSpec(), [self.port])
        return self.spec(self.disks(host))

    def build(self) -> BuildSpec:
        """Return all that a host is told to build it."""
        return BuildSpec(
            image=self.image,
            machine=self.machine_spec(),
            networks=[NETWORK],
            ports=[self.port],
            first_boot=self.first_boot,
            boot=BootProof(proof="console", console_text="login:", limit_s=60),
        )

    def machine_spec(self) -> MachineSpec:
        """Return the server's hardware."""
        usual = {"name": self.name, "vcpus": 1, "memory_mib": self.memory_mib, "root_gib": 1}
        return MachineSpec.parse({**usual, **self.machine})

    def spec(self, disks: list[DiskRef]) -> DomainSpec:
        """Return the domain over these disks."""
        return DomainSpec(
            machine=self.machine_spec(),
            disks=disks,
            ports=[self.port],
            boot=BootProof(proof="console", console_text="login:", limit_s=60),
        )

    def remove(self, host: Hypervisor) -> None:
        """Undo everything, in the order of the product."""
        host.remove_domain(self.server_id)
        host.remove_ports(self.server_id, [self.port])
        host.remove_disks(self.server_id)

    def traces(self, host: Hypervisor) -> list[str]:
        """Return what the host has of the server."""
        return host.traces(self.server_id, [self.port])

    def things(self, host: Hypervisor) -> list[Thing]:
        """Return what a survey of the host shows of the server, in the order of kind and name."""
        own = {self.server_id, self.port.port_id, self.port.mac}
        found = [
            thing for thing in host.survey() if own & {thing.server_id, thing.port_id, thing.mac}
        ]
        return sorted(found, key=lambda thing: (thing.kind, thing.name))

    def thing(self, host: Hypervisor, kind: ThingKind) -> Thing:
        """Return its one thing of that kind."""
        (found,) = [thing for thing in self.things(host) if thing.kind == kind]
        return found
