"""What the stages of a run take and give, beside domains and boots."""

from pydantic import Field

from tasks.messages.base import Value
from tasks.messages.boot import BootProof, FirstBoot
from tasks.messages.firewall import FirewallSpec
from tasks.messages.images import CarriedDisk, ImageSource
from tasks.messages.machine import MachineSpec
from tasks.messages.networks import NetworkSpec, PortSpec


class BuildSpec(Value):
    """All that a hypervisor needs to build one server. Given by `schedule`."""

    image: ImageSource
    machine: MachineSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    first_boot: FirstBoot
    boot: BootProof
    firewall: FirewallSpec = Field(default_factory=FirewallSpec)


class ShapeSpec(Value):
    """What a server that is there is to be like: all but the image that it was made of. Travels
    with `reshape`; given by `move` and `move_back`."""

    machine: MachineSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    firewall: FirewallSpec
    first_boot: FirstBoot
    boot: BootProof
    #: What it brings with it from its former host.
    carried: list[CarriedDisk] = Field(default_factory=list)


class Placement(Value):
    """Where a server goes, and all that this host needs for it. Given by `schedule`; the runner
    puts the host into the job, so that the next links are routed there."""

    host: str
    build: BuildSpec

    @property
    def told(self) -> BuildSpec:
        """What travels on."""
        return self.build


class Move(Value):
    """Where a server that is there goes, and what it is to be like. Given by `move` and
    `move_back`, and taken as a placement is."""

    host: str
    shape: ShapeSpec

    @property
    def told(self) -> ShapeSpec:
        """What travels on."""
        return self.shape


class PortsRef(Value):
    """The interfaces whose traces on a host are to go. Travels with `teardown`, `unwind`, `clear`
    and `leave`."""

    ports: list[PortSpec]


class Kept(Value):
    """Which of a server's disks a rebuild leaves as they are. Travels with `clear`."""

    ephemeral: bool = False


class Grace(Value):
    """How long a guest that is asked to stop has for it. Travels with `shut_down`."""

    seconds: float = Field(ge=0)


class Password(Value):
    """A new password for a user of the guest. Travels with `set_password`."""

    user: str
    password: str = Field(repr=False)


class Wiring(Value):
    """A server's interfaces as they are to be, and the one that comes, changes or goes. Travels
    with `plug`, `rewire` and `unplug`."""

    machine: MachineSpec
    #: Those of its interfaces, and of the one that goes.
    networks: list[NetworkSpec]
    #: All that it is to have.
    ports: list[PortSpec]
    #: The one that is meant.
    port: PortSpec
    first_boot: FirstBoot
    firewall: FirewallSpec = Field(default_factory=FirewallSpec)


class Asked(Value):
    """When a guest was asked to stop, or to let go of an interface, in Unix seconds of its host.
    Given by `shut_down` and `unplug`."""

    first_at: float
    last_at: float
