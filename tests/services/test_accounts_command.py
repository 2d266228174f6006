"""`byre user`, `byre project`, `byre role`: what they do is what the API shows, and back."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db.models import Project, Token, User
from app.db.models.base import now
from app.db.session import Sessions, reading
from app.services.passwords import password_fits
from tests.services.test_bootstrap import Command

PASSWORD = ("--password", "correct horse")


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Command:
    made = Command(tmp_path, database_url)
    assert made("user", "create", "ann", "--project", "team", *PASSWORD).exit_code == 0
    return made


def user(sessions: Sessions, name: str = "ann") -> User:
    with reading(sessions) as session:
        return session.scalars(select(User).filter_by(name=name)).one()


def rows(command: Command, *words: str) -> list[list[str]]:
    """Return what a list prints, without its head."""
    result = command(*words)
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()[1:]]


def test_an_administrator_is_made_where_there_is_nobody(command: Command) -> None:
    command("user", "create", "root", "--project", "admin", "--admin", *PASSWORD)

    assert rows(command, "role", "list") == [
        ["root", "admin", "admin"],
        ["ann", "team", "member"],
    ]


def test_roles_are_given_and_taken(command: Command) -> None:
    where = ("--user", "ann", "--project", "team")
    for _ in range(2):
        assert command("role", "add", "manager", *where).exit_code == 0
    assert rows(command, "role", "list", *where) == [
        ["ann", "team", "manager"],
        ["ann", "team", "member"],
    ]

    assert command("role", "remove", "member", *where).exit_code == 0
    assert rows(command, "role", "list", "--user", "ann") == [["ann", "team", "manager"]]
    assert command("role", "remove", "member", *where).exit_code == 1


def test_a_user_is_changed_and_logged_out(command: Command, sessions: Sessions) -> None:
    ann = user(sessions)
    with sessions.begin() as session:
        moment = now()
        session.add(
            Token(digest="d", audit_id="a", user_id=ann.id, issued_at=moment, expires_at=moment)
        )

    assert command("user", "set", "ann", "--name", "anna", "--disable").exit_code == 0

    assert rows(command, "user", "list") == [[ann.id, "anna", "disabled"]]
    with reading(sessions) as session:
        assert session.scalar(select(func.count()).select_from(Token)) == 0
    assert command("user", "set", "anna", "--enable", "--email", "a@example.org").exit_code == 0
    assert (user(sessions, "anna").enabled, user(sessions, "anna").email) == (True, "a@example.org")


def test_a_password_is_changed(command: Command, sessions: Sessions) -> None:
    assert command("user", "password", "ann", "--password", "another").exit_code == 0

    assert password_fits("another", user(sessions).password_hash)


def test_a_user_is_deleted(command: Command) -> None:
    assert command("user", "delete", "ann").exit_code == 0

    assert rows(command, "user", "list") == []
    assert rows(command, "role", "list") == []


def test_a_project_is_made_changed_and_deleted(command: Command, sessions: Sessions) -> None:
    made = command("project", "create", "shop", "--description", "sells").output.strip()
    assert command("project", "set", "shop", "--name", "store", "--disable").exit_code == 0
    with reading(sessions) as session:
        row = session.get_one(Project, made)
    assert (row.name, row.description, row.enabled) == ("store", "sells", False)

    assert command("project", "delete", "store").exit_code == 0
    assert [name for _, name, _ in rows(command, "project", "list")] == ["team"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("user", "delete", "nobody"), "Could not find user: nobody."),
        (("project", "delete", "nothing"), "Could not find project: nothing."),
        (("role", "add", "cook", "--user", "ann", "--project", "team"), "find role: cook."),
        (("user", "create", "x", "--project", "y", "--role", "cook", *PASSWORD), "role: cook."),
        (("user", "create", " x", "--project", "y", *PASSWORD), "name: must be printable"),
        (("project", "create", "x" * 65), "name: must be 1 to 64 characters"),
        (("project", "create", "team"), "There is a project team already."),
        (("user", "set", "ann", "--name", ""), "name: must be 1 to 255 characters"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    command: Command, sessions: Sessions, words: tuple[str, ...], reason: str
) -> None:
    result = command(*words)

    assert result.exit_code == 1
    assert reason in result.output
    assert len(result.output.splitlines()) == 1
    with reading(sessions) as session:
        assert session.scalars(select(Project.name)).all() == ["team"]
