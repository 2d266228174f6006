"""A server's virtual hardware, as its flavor and its image ask for it."""

from typing import Literal

from pydantic import Field

from tasks.messages.base import Value


class Hardware(Value):
    """What the image asks of the virtual hardware, by its `hw_` and `os_` properties."""

    disk_bus: Literal["virtio", "scsi", "sata", "ide", "usb"] = "virtio"
    vif_model: Literal["virtio", "e1000", "e1000e", "rtl8139"] = "virtio"
    firmware: Literal["bios", "uefi"] = "bios"
    machine_type: Literal["q35", "pc"] = "q35"
    video_model: Literal["none", "virtio", "vga", "cirrus", "qxl"] = "none"
    #: Whether there is a channel for the guest agent.
    guest_agent: bool = True
    os_type: Literal["linux", "windows"] = "linux"


class Limits(Value):
    """What the flavor allows, by its `quota:` extra specs. 0 is no limit."""

    disk_read_bytes_s: int = Field(default=0, ge=0)
    disk_write_bytes_s: int = Field(default=0, ge=0)
    disk_total_bytes_s: int = Field(default=0, ge=0)
    disk_read_iops: int = Field(default=0, ge=0)
    disk_write_iops: int = Field(default=0, ge=0)
    disk_total_iops: int = Field(default=0, ge=0)
    #: KiB a second, and KiB in one burst.
    vif_inbound_average: int = Field(default=0, ge=0)
    vif_inbound_peak: int = Field(default=0, ge=0)
    vif_inbound_burst: int = Field(default=0, ge=0)
    vif_outbound_average: int = Field(default=0, ge=0)
    vif_outbound_peak: int = Field(default=0, ge=0)
    vif_outbound_burst: int = Field(default=0, ge=0)
    #: Weight against other guests; microseconds of each period that a vCPU may run.
    cpu_shares: int = Field(default=0, ge=0)
    cpu_period_us: int = Field(default=0, ge=0)
    cpu_quota_us: int = Field(default=0, ge=0)


class MachineSpec(Value):
    """The virtual hardware, before it has disks."""

    name: str
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    root_gib: int = Field(ge=0)
    #: A second, empty disk, and one for swapping; 0: none.
    ephemeral_gib: int = Field(default=0, ge=0)
    swap_mib: int = Field(default=0, ge=0)
    #: `dedicated`: each vCPU has a processor of the host to itself.
    cpu_policy: Literal["shared", "dedicated"] = "shared"
    hardware: Hardware = Field(default_factory=Hardware)
    limits: Limits = Field(default_factory=Limits)
    #: Whether the guest sees its config drive. The drive is made in any case, from the same data as
    #: what the metadata service tells.
    config_drive: bool = True
