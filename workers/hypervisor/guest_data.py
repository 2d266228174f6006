"""What the host's metadata service tells each guest, and what it takes from one: files in the
worker's state directory, which the worker writes and the service's own process reads.

Effect  `guests/<server id>.first-boot.json`; once the guest has said that its first boot is done,
        `guests/<server id>.first-boot-word.json`, and `guests/<server id>.first-boot-password.txt`
        if it has posted a password; all for root alone.
Repeat  data is replaced whole; a word stands as long as the token stands that it came with, a
        password until its owner clears it.
Undo    `remove`.
"""

import hmac
import json
import os
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tasks.messages import FirstBoot, NetworkSpec, PortSpec, Value
from workers.hypervisor import names
from workers.hypervisor.files import replacing, sync_directory
from workers.hypervisor.shelf import Shelf

Result = Literal["ok", "failed"]

_DIRECTORY = "guests"


class Device(Value):
    """A device that its owner has tagged, and where the guest finds it, in OpenStack's words."""

    type: Literal["nic", "disk"]
    bus: str
    address: str
    #: Interfaces only.
    mac: str | None = None
    #: Disks only.
    path: str | None = None
    serial: str | None = None
    tags: list[str]


class GuestData(Value):
    """All that one guest is told."""

    server_id: str
    project_id: str
    first_boot: FirstBoot = Field(repr=False)
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    #: Hexadecimal.
    random_seed: str = Field(repr=False)
    devices: list[Device] = Field(default_factory=list)

    @property
    def has_tags(self) -> bool:
        """Say whether any of its devices is tagged."""
        return bool(self.first_boot.root_tag or any(port.tag for port in self.ports))


class GuestWord(Value):
    """What a guest said of its first boot. Only that it spoke, with the token, proves anything."""

    token_sha256: str
    result: Result
    #: Unix seconds
    at: float


class GuestStore:
    """The files of one host's guests."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / _DIRECTORY
        self.shelf = Shelf(self.directory, frozenset({"first_boot"}))

    def keep(self, data: GuestData) -> None:
        """Have the guest told this. A word that came with another token is forgotten."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        word = self._read_word(data.server_id)
        if word is not None and not _is_for(word, data):
            self._word_path(data.server_id).unlink(missing_ok=True)
        with replacing(self._data_path(data.server_id)) as (file, _):
            file.write(data.model_dump_json().encode())

    def remove(self, server_id: str) -> None:
        """Forget the guest."""
        for path in self.found(server_id):
            path.unlink(missing_ok=True)

    def found(self, server_id: str) -> list[Path]:
        """Return the guest's files, unfinished ones too. What was set aside is its no longer."""
        return sorted(self.directory.glob(f"*{names.checked(server_id)}*"))

    def server_ids(self) -> dict[str, os.stat_result]:
        """Return the servers whose guests can ask now, each with its file's stat."""
        return self._servers_with(names.guest_data_file)

    def _servers_with(self, file_of: Callable[[str], str]) -> dict[str, os.stat_result]:
        ending = file_of("0" * 8 + "-0000" * 3 + "-" + "0" * 12)[36:]
        found = {}
        try:
            entries = os.scandir(self.directory)
        except FileNotFoundError:
            return {}
        with entries:
            for entry in entries:
                if entry.name.endswith(ending) and not entry.name.startswith("."):
                    found[entry.name.removesuffix(ending)] = entry.stat(follow_symlinks=False)
        return found

    def read(self, server_id: str) -> GuestData | None:
        """Return what the guest is told; None if it is gone, or was never whole."""
        try:
            return GuestData.model_validate_json(self._data_path(server_id).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def take_word(self, data: GuestData, token: str, result: Result) -> bool:
        """Keep the guest's word if it is the first one and came with its token. A word that was
        kept is there after a power cut."""
        expected = data.first_boot.phone_home_token
        if not expected or not hmac.compare_digest(expected.encode(), token.encode()):
            return False
        word = GuestWord(token_sha256=_digest(expected), result=result, at=time.time())
        return self._keep_first(self._word_path(data.server_id), word.model_dump_json())

    def take_password(self, server_id: str, text: str) -> bool:
        """Keep what a guest posts as its password if it has posted none. What was kept is there
        after a power cut."""
        return self._keep_first(self._password_path(server_id), text)

    def password(self, server_id: str) -> str:
        """Return what a guest has posted as its password; empty: nothing."""
        try:
            return self._password_path(server_id).read_bytes().decode()
        except FileNotFoundError:
            return ""

    def passwords(self) -> dict[str, str]:
        """Return what guests have posted, by server."""
        posted = {i: self.password(i) for i in self._servers_with(names.guest_password_file)}
        return {server_id: text for server_id, text in posted.items() if text}

    def forget_password(self, server_id: str, digest: str) -> None:
        """Let a guest post another password, if it is this one (SHA-256) that it has posted."""
        if _digest(self.password(server_id)) == digest:
            self._password_path(server_id).unlink(missing_ok=True)

    def what_it_said(self, server_id: str) -> dict[str, object]:
        """Return the fields of an Observation that are the guest's own word."""
        data = self.read(server_id)
        if data is None or not data.first_boot.phone_home_token:
            return {"first_boot": None}
        word = self._read_word(server_id)
        if word is None or not _is_for(word, data):
            return {"first_boot": False}
        return {"first_boot": True, "first_boot_result": word.result}

    def _keep_first(self, path: Path, text: str) -> bool:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link is refused if the name is taken: the first one stands.
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        sync_directory(self.directory)
        return True

    def _read_word(self, server_id: str) -> GuestWord | None:
        try:
            return GuestWord.model_validate(json.loads(self._word_path(server_id).read_bytes()))
        except (FileNotFoundError, ValueError):
            return None

    def _data_path(self, server_id: str) -> Path:
        return self.directory / names.guest_data_file(server_id)

    def _password_path(self, server_id: str) -> Path:
        return self.directory / names.guest_password_file(server_id)

    def _word_path(self, server_id: str) -> Path:
        return self.directory / names.guest_word_file(server_id)


def _is_for(word: GuestWord, data: GuestData) -> bool:
    return word.token_sha256 == _digest(data.first_boot.phone_home_token)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
