"""The port, carried out in memory: all its parts on one host."""

from tasks.messages import Inventory
from workers.hypervisor.fake.disks import Disks
from workers.hypervisor.fake.domains import Domains
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.guests import Guests
from workers.hypervisor.fake.image_cache import cached_bytes
from workers.hypervisor.fake.images import Images
from workers.hypervisor.fake.incidents import Incidents
from workers.hypervisor.fake.kept_disks import KeptDisks
from workers.hypervisor.fake.networks import Networks
from workers.hypervisor.fake.snapshots import Snapshots
from workers.hypervisor.fake.tidying import Tidying


class FakeHypervisor(
    Images,
    Disks,
    KeptDisks,
    Snapshots,
    Networks,
    Domains,
    Guests,
    Tidying,
    Incidents,
):
    """One hypervisor host in memory, and in a file if it is given one."""

    @verb
    def inventory(self) -> Inventory:
        """Return what the host was made with, and what is left of its disk."""
        guests = self._state.guests.values()
        return Inventory(
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            free_disk_gib=max(0, self.disk_gib - self._used_gib()),
            image_cache_bytes=cached_bytes(self._state),
            hypervisor_type="fake",
            hypervisor_version=1_000_000,
            domain_type="qemu",
            architecture="x86_64",
            cpu_model="fake",
            running_domains=sum(guest.state == "running" for guest in guests),
            uefi=True,
            vif_limits=True,
            dedicated_vcpus=self.dedicated_vcpus,
            free_dedicated_vcpus=self._free_processors(),
            physical_networks=self._physical_networks,
            uptime=" 12:00:00 up 1 day,  2:03,  0 users,  load average: 0.00, 0.00, 0.00",
        )
