"""What a survey costs the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, select

from app.db.models import Server
from app.db.models.base import now
from app.db.session import Sessions
from tests.services.drift.scene import GRACE, KEPT, MINUTE, Scene, stranger, thing, whole


@contextmanager
def counted(sessions: Sessions) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def rounds(scene: Scene, count: int) -> list[int]:
    """Queries of each survey: servers go and are back, strange things come, age and go."""
    servers = [scene.server() for _ in range(count)]
    strange = [thing("disk", stranger()) for _ in range(count)]
    there = [each for server in servers for each in whole(server)]
    looks = [
        (there, MINUTE),
        (strange, MINUTE),
        ([*there, *strange], GRACE),
        ([*there, *strange], KEPT),
        (there, MINUTE),
    ]
    numbers = []
    for things, after in looks:
        with counted(scene.sessions) as statements:
            scene.look(*things, after=after)
        numbers.append(len(statements))
    return numbers


def test_number_of_queries_does_not_grow(scene: Scene) -> None:
    few = rounds(scene, 5)
    with scene.sessions.begin() as session:
        for server in session.scalars(select(Server)):
            server.deleted_at = now()

    assert rounds(scene, 200) == few
    assert max(few) < 25
