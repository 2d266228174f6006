"""What a guest of the fake's has used: time, and nothing of its disks and interfaces."""

from tasks.messages import Diagnosis, DiskUse, InterfaceUse, Traffic
from workers.hypervisor.fake.state import Guest

_NS = 10**9
_KIB_OF_MIB = 1024


def use_of(guest: Guest, up_s: float) -> Diagnosis:
    """Return what a guest has used that was started so long ago."""
    machine, nothing = guest.spec.machine, Traffic(octets=0, packets=0, errors=0, drop=0)
    memory_kib = machine.memory_mib * _KIB_OF_MIB
    return Diagnosis(
        driver="fake",
        domain_type="qemu",
        state="paused" if guest.state == "paused" else "running",
        cpu_times_ns=[int(up_s * _NS)] * machine.vcpus,
        memory_kib=memory_kib,
        memory={"actual": memory_kib},
        disks=[
            DiskUse(
                device=f"vd{letter}",
                read_requests=0,
                read_bytes=0,
                write_requests=0,
                write_bytes=0,
                errors=-1,
            )
            for letter, _ in zip("abcdefgh", guest.spec.disks, strict=False)
        ],
        interfaces=[
            InterfaceUse(device=f"vnet{number}", mac=port.mac, rx=nothing, tx=nothing)
            for number, port in enumerate(guest.spec.ports)
        ],
    )
