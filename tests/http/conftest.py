"""The application on a real database, in the small world of tests.http.world."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.session import Sessions, make_engine, make_sessions
from app.factory import create_app
from tests.http.cases import Api, Recorder
from tests.http.world import make_world
from tests.rows import make_settings


def make_api(sessions: Sessions, directory: Path) -> Api:
    """Return the application, with the world written."""
    settings = make_settings(image_store=directory / "images", image_max_gib=1)
    make_world(sessions, directory / "images")
    recorder = Recorder()
    app = create_app(settings, sessions, recorder)
    return Api(app, sessions, recorder)


@pytest.fixture
def api(sessions: Sessions, tmp_path: Path) -> Api:
    """A world for one test, which may change it."""
    return make_api(sessions, tmp_path)


@pytest.fixture(scope="module")
def quiet_api(any_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A world for all tests of a module, which leave it as it was."""
    engine = make_engine(any_database_url)
    yield make_api(make_sessions(engine), tmp_path_factory.mktemp("world"))
    engine.dispose()
