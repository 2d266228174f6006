"""A new Byre's first things; made again, nothing changes. With them the operator's command."""

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from app.cli import byre
from app.db.models import Base, Image, Network, Server, User
from app.db.session import Sessions, make_engine, make_sessions, reading
from app.services import passwords
from tests.http.test_images import qcow2

KEY = "k" * 40


class Command:
    """`byre` with settings of its own."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory, self.database_url = directory, database_url
        self.clouds = directory / "clouds.yaml"
        self.settings = {
            "BYRE_DATABASE_URL": database_url,
            "BYRE_SECRET_KEY": KEY,
            "BYRE_IMAGE_STORE": str(directory / "images"),
        }

    def __call__(self, *words: str, **changes: str) -> Result:
        """Run the command."""
        return CliRunner(env={**self.settings, **changes}).invoke(byre, words)

    def bootstrap(self, **changes: str) -> Result:
        """Run `byre bootstrap`."""
        return self("bootstrap", "--clouds", str(self.clouds), **changes)


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Command:
    return Command(tmp_path, database_url)


def counts(sessions: Sessions) -> dict[str, int]:
    with reading(sessions) as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def auth(command: Command, cloud: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(command.clouds.read_text())["clouds"][cloud]["auth"]
    return found


def test_first_time(command: Command, sessions: Sessions) -> None:
    result = command.bootstrap()

    assert result.exit_code == 0, result.output
    made = {name: count for name, count in counts(sessions).items() if count}
    assert made == {
        "projects": 2,
        "users": 2,
        "role_assignments": 2,
        "flavors": 5,
        "networks": 1,
        "subnets": 1,
    }
    assert stat.S_IMODE(command.clouds.stat().st_mode) == 0o600
    user = auth(command, "byre")
    assert (user["username"], user["project_name"]) == ("demo", "demo")
    with reading(sessions) as session:
        row = session.scalars(select(User).filter_by(name="demo")).one()
    assert passwords.password_fits(user["password"], row.password_hash)


def test_again_changes_nothing(command: Command, sessions: Sessions) -> None:
    command.bootstrap()
    before, file = counts(sessions), command.clouds.read_text()

    result = command.bootstrap()

    assert (result.exit_code, counts(sessions)) == (0, before)
    assert command.clouds.read_text() == file


def test_a_given_password_is_taken(command: Command) -> None:
    command.bootstrap()

    command.bootstrap(BYRE_BOOTSTRAP_DEMO_PASSWORD="secret of mine")

    assert auth(command, "byre")["password"] == "secret of mine"


def test_a_lost_file_needs_new_passwords(command: Command) -> None:
    command.bootstrap()
    command.clouds.unlink()

    result = command.bootstrap()

    assert result.exit_code == 1
    assert "BYRE_BOOTSTRAP_DEMO_PASSWORD" in result.output
    assert not command.clouds.exists()


def import_image(command: Command, *words: str) -> Result:
    file = command.directory / "guest.qcow2"
    file.write_bytes(qcow2())
    return command("image", "import", str(file), "--name", "guest", "--public", *words)


def test_an_image_is_imported_once(command: Command, sessions: Sessions) -> None:
    command.bootstrap()

    first = import_image(command, "--property", "byre_boot_proof=running")
    second = import_image(command, "--property", "byre_boot_proof=running")

    assert (first.exit_code, second.output) == (0, first.output)
    with reading(sessions) as session:
        image = session.scalars(select(Image)).one()
    assert (image.id, image.status) == (first.output.strip(), "active")
    assert (image.visibility, image.properties) == ("public", {"byre_boot_proof": "running"})
    assert [path.name for path in (command.directory / "images").iterdir()] == [image.id]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--property", "byre_boot_proof=luck"), "byre_boot_proof"),
        (("--property", "nonsense"), "KEY=VALUE"),
        (("--disk-format", "raw"), "bytes are qcow2"),
    ],
)
def test_an_image_that_is_refused_leaves_nothing(
    command: Command, sessions: Sessions, words: tuple[str, ...], reason: str
) -> None:
    command.bootstrap()

    result = import_image(command, *words)

    assert result.exit_code == 1
    assert reason in result.output
    assert counts(sessions)["images"] == 0


def test_an_import_needs_an_operator(command: Command) -> None:
    assert "byre bootstrap" in import_image(command).output


def test_a_network_is_made(command: Command, sessions: Sessions) -> None:
    command.bootstrap()

    result = command("network", "create", "lab", "--cidr", "10.9.8.0/28", "--dns", "192.0.2.53")

    with reading(sessions) as session:
        network = session.get_one(Network, result.output.strip())
        (subnet,) = network.subnets
        assert (network.kind, network.vni is None) == ("nat", False)
        assert (network.name, network.shared, network.mtu) == ("lab", True, 1450)
        assert (subnet.gateway, subnet.dns) == ("10.9.8.1", ["192.0.2.53"])
        assert subnet.pools == [{"start": "10.9.8.2", "end": "10.9.8.14"}]


@pytest.mark.parametrize("cidr", ["10.9.8.0/31", "10.0.0.0/8", "10.9.8.1/24", "nonsense"])
def test_a_network_that_cannot_be(command: Command, sessions: Sessions, cidr: str) -> None:
    result = command("network", "create", "lab", "--cidr", cidr)

    assert (result.exit_code, "cidr" in result.output) == (1, True)
    assert counts(sessions)["networks"] == 0


def test_a_host_is_put_out_of_use_and_back(command: Command) -> None:
    assert command("host", "disable", "nobody").output.startswith("byre: No hypervisor")
    assert command("host", "enable", "nobody").exit_code == 1


def test_a_wrong_setting_is_named(command: Command) -> None:
    result = command("settings", "check", BYRE_API_THREADS="many")

    assert result.exit_code == 78


def test_settings_are_shown_without_their_secrets(command: Command) -> None:
    result = command("settings", "check")

    assert result.exit_code == 0
    assert "api_threads = 8" in result.output
    assert KEY not in result.output


def test_the_database_is_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/below/byre.db"

    result = Command(tmp_path, url)("db", "upgrade")

    assert result.exit_code == 0
    engine = make_engine(url)
    with reading(make_sessions(engine)) as session:
        assert session.scalars(select(Server)).all() == []
    engine.dispose()
