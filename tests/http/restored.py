"""The application in a world that is put back to how it was after each change."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.db.models import Base
from app.db.session import make_engine, make_sessions
from app.factory import create_app
from app.services import consoles, server_interfaces
from tests.http.cases import Api, Recorder, tell
from tests.http.policy_things import make_policy_world, write_bytes
from tests.rows import make_settings


@dataclass
class Restored:
    """The application, whose database can be put back to how it was."""

    api: Api
    directory: Path
    before: sqlite3.Connection

    def restore(self) -> None:
        """Undo all that was written."""
        with closing(sqlite3.connect(self.directory / "byre.db")) as live:
            self.before.backup(live)
        write_bytes(self.directory / "images")


@contextmanager
def restored(directory: Path) -> Iterator[Restored]:
    """Yield the application on a world with somebody of each role. On SQLite, which is soon put
    back. Its hosts answer nobody, and nobody waits for them."""
    engine = make_engine(f"sqlite:///{directory}/byre.db")
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine)
    make_policy_world(sessions, directory / "images")
    recorder = Recorder(reply=lambda question: tell(sessions, question, refused="No."))
    settings = make_settings(image_store=directory / "images", image_max_gib=1)
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(directory / "byre.db")) as live:
        live.backup(before)
    app = create_app(settings, sessions, recorder)
    with pytest.MonkeyPatch.context() as patch:
        for patient in (consoles, server_interfaces):
            patch.setattr(patient, "PATIENCE_S", 0.1)
        yield Restored(Api(app, sessions, recorder), directory, before)
    before.close()
    engine.dispose()
