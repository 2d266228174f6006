"""Real databases for tests: SQLite files, and a PostgreSQL server of one's own."""

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psycopg

from tests.processes import free_port

#: Where Debian puts each version's programs; they are not on the path.
_DEBIAN_ROOT = Path("/usr/lib/postgresql")


class PostgresServer:
    """A PostgreSQL server with its data below a temporary directory, on a socket and loopback.

    PostgreSQL refuses to run as root, so it runs as the user that its package made.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="byre-postgres-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared: str | None = None
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def start(self) -> None:
        """Make the cluster and start it. Raises RuntimeError if PostgreSQL is not installed."""
        programs = _programs()
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self._user).pw_uid, grp.getgrnam(self._user).gr_gid
            os.chown(self._directory, *owner)
        data = self._directory / "data"
        self._run(
            [
                str(programs / "initdb"),
                f"--pgdata={data}",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--username=postgres",
            ]
        )
        with (self._directory / "log").open("ab") as log:
            self._process = self._spawn(programs, data, log)
        self._wait()

    def _spawn(self, programs: Path, data: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                str(programs / "postgres"),
                "-D",
                str(data),
                "-p",
                str(self._port),
                "-k",
                str(self._directory),
                # Tests are about what is written, not about surviving a power cut.
                *("-c", "fsync=off", "-c", "synchronous_commit=off"),
                *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"),
            ],
            user=self._user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=self._directory,
        )

    def make_database(self) -> str:
        """Make an empty database; return its SQLAlchemy URL."""
        return self._make("template1")

    def copy_database(self, prepare: Callable[[str], None]) -> str:
        """Make a database as `prepare` makes it of an empty one, which is done once for all."""
        if self._prepared is None:
            url = self.make_database()
            prepare(url)
            self._prepared = url.rpartition("/")[2]
        return self._make(self._prepared)

    def _make(self, template: str) -> str:
        name = f"t{uuid.uuid4().hex}"
        # By copying files: what is logged page by page takes three times as long.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}"

    def drop_database(self, url: str) -> None:
        """Remove a database that `make_database` made, whoever is still connected."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def stop(self) -> None:
        """End the server and remove its data."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self) -> None:
        for _ in range(200):
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                if self._process is None or self._process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._directory / 'log').read_text()}")

    def _execute(self, statement: str) -> None:
        address = f"host=127.0.0.1 port={self._port} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, user=self._user, capture_output=True, text=True, cwd="/", check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")


def _programs() -> Path:
    found = sorted(_DEBIAN_ROOT.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("PostgreSQL's server is not installed: apt-get install postgresql")
    return Path(on_path).parent
