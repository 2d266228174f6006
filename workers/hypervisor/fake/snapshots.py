"""Copies of a fake host's disks that become images; sent only if the host was told how."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.errors import HostError
from tasks.messages import CarriedDisk, CarriedRole, ImageUpload
from workers.hypervisor import names
from workers.hypervisor.carried import carried_file
from workers.hypervisor.fake.blank_image import write_blank_image
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.things import add_file

_GIB = 1024**3


class Snapshots(Host):
    """The port's verbs for snapshots."""

    @verb
    def take_snapshot(
        self, server_id: str, image_id: str, limit_s: float, role: CarriedRole = "root"
    ) -> None:
        """Note a copy of the disk. Raises HostError without one, ForeignOwner."""
        self._there(server_id)
        if role != "root":
            self._refuse_running(server_id)
        if carried_file(server_id, role) not in self._state.files:
            raise HostError("The server has no disk to copy.", server=server_id)
        add_file(self._state, names.snapshot_file(server_id, image_id))

    @verb
    def send_snapshot(self, server_id: str, upload: ImageUpload, limit_s: float) -> None:
        """Send an empty image, if the fake was told how, and forget the copy."""
        name = names.snapshot_file(server_id, upload.image_id)
        if self.send is not None:
            with TemporaryDirectory(prefix="byre-fake-") as directory:
                path = Path(directory, name)
                if name in self._state.files:
                    root_gib = self._state.guests[server_id].spec.machine.root_gib
                    write_blank_image(path, max(1, root_gib) * _GIB)
                self.send(path, upload, limit_s)
        with self.lock:
            self._state.files.pop(name, None)

    @verb
    def fetch_disk(self, server_id: str, disk: CarriedDisk, limit_s: float) -> None:
        """Note the disk; fetch it first, if the fake was told how."""
        name = carried_file(server_id, disk.role)
        if name not in self._state.files and self._fetch is not None:
            self._fetch(disk.source)
        with self.lock:
            add_file(self._state, name)

    @verb
    def remove_snapshot(self, server_id: str, image_id: str) -> None:
        """Forget the copy. Raises ForeignOwner."""
        self._find(server_id)
        self._state.files.pop(names.snapshot_file(server_id, image_id), None)
