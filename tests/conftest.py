"""Fixtures for all tests: each test that touches the database runs on SQLite and on PostgreSQL."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.db.models import Base
from app.db.session import Sessions, make_engine, make_sessions
from config.settings import ComputeSettings
from tests.databases import Engines, PostgresServer
from tests.object_stores import SwiftServer
from tests.openstack_command import OpenStackCommand

_TESTS = Path(__file__).parent


def pytest_configure() -> None:
    """No test may keep anything where an installed worker does: what one host's worker finds there
    must not be another's, of another test or another process."""
    ComputeSettings.model_fields["state_dir"].default = Path(os.devnull) / "state"
    ComputeSettings.model_rebuild(force=True)


#: Tests of these directories and with these marks share a libvirt, the machine's network, or what
#: they have started: one worker runs each group, in order, beside those with the rest.
_ALONE_DIRECTORIES = {"stack"}
_ALONE_MARKS = ("lab", "boots", "slow")
#: Groups by how long they take.
_LONGEST_FIRST = {"host": 0, "lab": 1, "clients": 2}
#: Of a parameter as it is in a test's name, in characters.
_LONGEST_PARAMETER = 200
#: Tests of these have a whole Byre that they share, and that runs beside the others.
_OWN_GROUPS = {"lab", "clients"}
#: Here each module has a Byre of its own, on each database.
_GROUP_FOR_EACH_MODULE = {"pipeline"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Group what must not run beside its like (pytest-xdist, --dist loadgroup), before xdist looks:
    its own hook for all items comes before a conftest's."""
    directory = item.path.relative_to(_TESTS).parts[0]
    is_alone = any(item.get_closest_marker(mark) for mark in _ALONE_MARKS)
    if directory in _OWN_GROUPS:
        item.add_marker(pytest.mark.xdist_group(directory))
    elif directory in _GROUP_FOR_EACH_MODULE:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        database = parameters.get("any_database_url", "")
        item.add_marker(pytest.mark.xdist_group(f"{directory}-{item.path.stem}-{database}"))
    elif is_alone or directory in _ALONE_DIRECTORIES:
        item.add_marker(pytest.mark.xdist_group("host"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that take longest: each keeps a worker busy nearly to the end."""
    items.sort(key=lambda item: _LONGEST_FIRST.get(_group_of(item), len(_LONGEST_FIRST)))


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long parameters by their size: each report of a test carries its name, to another
    process too, and the bytes of an image need not be in it."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_PARAMETER:
        return f"{argname} of {len(val)}"
    return None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests; each makes a database of its own on it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """An object store with a bucket, for all tests; each has a prefix of its own in it."""
    server = SwiftServer(tmp_path_factory.mktemp("swift"))
    try:
        server.start()
        server.make_bucket()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def openstack_command() -> Iterator[OpenStackCommand]:
    """OpenStack's own command, loaded for all tests that run it."""
    command = OpenStackCommand()
    yield command
    command.stop()


@pytest.fixture(scope="session")
def guest_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small guest image: a built one that the environment names, or one built now."""
    if built := os.environ.get("BYRE_TEST_GUEST_IMAGE"):
        return Path(built).resolve(strict=True)
    image = tmp_path_factory.mktemp("guest-image") / "guest.qcow2"
    builder = Path(__file__).parents[1] / "guest" / "build"
    subprocess.run([builder, image], check=True, stdin=subprocess.DEVNULL)
    return image


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with all tables and no rows, for one test."""
    if request.param == "sqlite":
        yield _sqlite(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.lend_database(_make_tables) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def any_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The same, for all tests of a module, which clean up after themselves."""
    if request.param == "sqlite":
        yield _sqlite(tmp_path_factory.mktemp("database"))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.copy_database(_make_tables)
    try:
        yield url
    finally:
        server.drop_database(url)


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """The engines of all such databases."""
    made = Engines()
    yield made
    made.close()


@pytest.fixture
def sessions(database_url: str, engines: Engines) -> Iterator[Sessions]:
    """The session factory of such a database."""
    with engines.on(database_url) as engine:
        yield make_sessions(engine)


def _sqlite(directory: Path) -> str:
    file = directory / "byre.db"
    file.write_bytes(_sqlite_file())
    return f"sqlite:///{file}"


@cache
def _sqlite_file() -> bytes:
    """Return a database with all tables. To copy one takes a tenth of the time of making it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "byre.db"
        _make_tables(f"sqlite:///{file}")
        return file.read_bytes()


def _make_tables(url: str) -> None:
    engine = make_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
