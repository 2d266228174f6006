"""Copies of a fake host's disks, from which a resize can go back."""

from tasks.errors import HostError
from workers.hypervisor import names
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import Host
from workers.hypervisor.fake.things import add_file


class KeptDisks(Host):
    """The port's verbs for copies of a server's disks."""

    @verb
    def keep_disks(self, server_id: str) -> None:
        """Note copies. Raises HostError."""
        self._refuse_running(server_id)
        if names.root_disk_file(server_id) not in self._state.files:
            raise HostError("The server has no root disk.", server=server_id)
        kept = names.kept_files(server_id)
        if list(kept.values())[-1] in self._state.files:
            return
        for name, copy in kept.items():
            if name in self._state.files and copy not in self._state.files:
                add_file(self._state, copy)
                if name in self._state.bases:
                    self._state.bases[copy] = self._state.bases[name]

    @verb
    def keeps_disks(self, server_id: str) -> bool:
        """Say whether copies are noted."""
        return any(copy in self._state.files for copy in names.kept_files(server_id).values())

    @verb
    def restore_disks(self, server_id: str) -> None:
        """Forget the copies, of which the disks are no different here. Raises HostError."""
        self._refuse_running(server_id)
        self._drop(server_id)

    @verb
    def drop_disks(self, server_id: str) -> None:
        """Forget the copies."""
        self._drop(server_id)

    def _drop(self, server_id: str) -> None:
        for copy in names.kept_files(server_id).values():
            self._state.files.pop(copy, None)
            self._state.bases.pop(copy, None)
