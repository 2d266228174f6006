"""What the host's metadata service tells each guest, and the word it takes from one: files in the
worker's state directory, which the worker writes and the service's own process reads.

Effect  `guests/<server id>.first-boot.json` and, once the guest has said that its first boot is
        done, `guests/<server id>.first-boot-word.json`; both for root alone.
Repeat  data is replaced whole; a word stands as long as the token stands that it came with.
Undo    `remove`.
"""

import hmac
import json
import os
import secrets
import time
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


class GuestData(Value):
    """All that one guest is told."""

    server_id: str
    project_id: str
    first_boot: FirstBoot = Field(repr=False)
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    #: Hexadecimal.
    random_seed: str = Field(repr=False)


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
        ending = names.guest_data_file("0" * 8 + "-0000" * 3 + "-" + "0" * 12)[36:]
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
        path = self._word_path(data.server_id)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(word.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link is refused if the name is taken: the first word stands.
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        sync_directory(self.directory)
        return True

    def what_it_said(self, server_id: str) -> dict[str, object]:
        """Return the fields of an Observation that are the guest's own word."""
        data = self.read(server_id)
        if data is None or not data.first_boot.phone_home_token:
            return {"first_boot": None}
        word = self._read_word(server_id)
        if word is None or not _is_for(word, data):
            return {"first_boot": False}
        return {"first_boot": True, "first_boot_result": word.result}

    def _read_word(self, server_id: str) -> GuestWord | None:
        try:
            return GuestWord.model_validate(json.loads(self._word_path(server_id).read_bytes()))
        except (FileNotFoundError, ValueError):
            return None

    def _data_path(self, server_id: str) -> Path:
        return self.directory / names.guest_data_file(server_id)

    def _word_path(self, server_id: str) -> Path:
        return self.directory / names.guest_word_file(server_id)


def _is_for(word: GuestWord, data: GuestData) -> bool:
    return word.token_sha256 == _digest(data.first_boot.phone_home_token)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
