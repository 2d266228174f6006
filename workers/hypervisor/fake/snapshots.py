"""Copies of a fake host's disks that become images; sent only if the host was told how."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.errors import HostError
from tasks.messages import ImageUpload
from workers.hypervisor import names
from workers.hypervisor.fake.blank_image import write_blank_image
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.things import add_file

_GIB = 1024**3


class Snapshots(Host):
    """The port's verbs for snapshots."""

    @verb
    def take_snapshot(self, server_id: str, image_id: str, limit_s: float) -> None:
        """Note a copy of the root disk. Raises HostError without one, ForeignOwner."""
        self._there(server_id)
        if names.root_disk_file(server_id) not in self._state.files:
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
    def remove_snapshot(self, server_id: str, image_id: str) -> None:
        """Forget the copy. Raises ForeignOwner."""
        self._find(server_id)
        self._state.files.pop(names.snapshot_file(server_id, image_id), None)
