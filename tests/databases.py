"""Real databases for tests: SQLite files, a PostgreSQL server of one's own, and engines that tests
use one after the other."""

import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import Dialect, make_url

from app.db.session import make_engine
from tests.processes import free_port

#: Where Debian puts each version's programs; they are not on the path.
_DEBIAN_ROOT = Path("/usr/lib/postgresql")

#: A database that was emptied this often is made anew: what was deleted stays in its files.
_MOST_USES = 100
#: Deletes every row, in no order, and lets every sequence begin again. Fails where somebody has
#: not ended his transaction by the end of the test.
_EMPTY = """
SET lock_timeout = '1s';
SET session_replication_role = replica;
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM %I', one.tablename);
    END LOOP;
    FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'S' LOOP
        PERFORM setval(one.name, 1, false);
    END LOOP;
END $$
"""
#: Is another one after a change of tables or columns.
_SHAPE = """
SELECT count(*), max(oid::bigint), (SELECT count(*) FROM pg_attribute) FROM pg_class
"""


@dataclass
class _Lent:
    """A database that tests have one after the other."""

    url: str
    shape: object
    uses: int = 0


class PostgresServer:
    """A PostgreSQL server with its data below a temporary directory, on a socket and loopback.

    PostgreSQL refuses to run as root, so it runs as the user that its package made.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="byre-postgres-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared: str | None = None
        self._free: list[_Lent] = []
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

    @contextmanager
    def lend_database(self, prepare: Callable[[str], None]) -> Iterator[str]:
        """Give such a database to one user after the other. To empty it takes a tenth of copying
        it, and connections to it can be kept."""
        lent = self._free.pop() if self._free else self._lendable(prepare)
        yield lent.url
        lent.uses += 1
        if lent.uses < _MOST_USES and self._emptied(lent):
            self._free.append(lent)
        else:
            self.drop_database(lent.url)

    def _lendable(self, prepare: Callable[[str], None]) -> _Lent:
        url = self.copy_database(prepare)
        with self._connect(url.rpartition("/")[2]) as connection:
            return _Lent(url, connection.execute(_SHAPE).fetchone())

    def _emptied(self, lent: _Lent) -> bool:
        """Remove all rows; say whether it is as it was made now."""
        with suppress(psycopg.Error), self._connect(lent.url.rpartition("/")[2]) as connection:
            connection.execute(_EMPTY)
            return connection.execute(_SHAPE).fetchone() == lent.shape
        return False

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
            # Fast: it does not wait for those who are still connected.
            self._process.send_signal(signal.SIGINT)
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
        with self._connect("postgres") as connection:
            connection.execute(statement.encode())

    def _connect(self, name: str) -> psycopg.Connection:
        address = f"host=127.0.0.1 port={self._port} user=postgres dbname={name}"
        return psycopg.connect(address, autocommit=True, connect_timeout=5)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, user=self._user, capture_output=True, text=True, cwd="/", check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")


class Engines:
    """One engine for each kind of database, which is led to another one by each test. It remembers
    the text of statements, which takes longer to make than a small database to answer them."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}
        self._urls: dict[str, URL] = {}

    @contextmanager
    def on(self, url: str) -> Iterator[Engine]:
        """Give an engine on this database. Who has the same one as the last keeps its connections,
        which have read what they need of the catalogue."""
        target = make_url(url)
        kind = target.get_backend_name()
        if kind not in self._engines:
            self._engines[kind] = make_engine(url)
            event.listen(self._engines[kind], "do_connect", self._connect)
        if self._urls.get(kind) != target:
            self._engines[kind].dispose()
            self._urls[kind] = target
        yield self._engines[kind]
        if kind == "sqlite":
            self._engines[kind].dispose()

    def close(self) -> None:
        """End all connections."""
        for engine in self._engines.values():
            engine.dispose()

    def _connect(self, dialect: Dialect, _record: object, _words: object, _named: object) -> Any:
        words, named = dialect.create_connect_args(self._urls[dialect.name])
        return dialect.connect(*words, **named)


def _programs() -> Path:
    found = sorted(_DEBIAN_ROOT.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("PostgreSQL's server is not installed: apt-get install postgresql")
    return Path(on_path).parent
