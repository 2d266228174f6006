"""The application on a real database, in the small world of tests.http.world."""

from collections.abc import Iterator
from copy import copy
from functools import cache
from pathlib import Path

import pytest
from flask import Flask

from app.api.auth import EXTENSION
from app.db.session import Sessions, make_engine, make_sessions
from app.factory import create_app
from app.services.context import Context
from config.settings import ControlSettings
from tests.http.cases import Api, Recorder, tell
from tests.http.restored import Restored, restored
from tests.http.world import make_world
from tests.rows import make_settings


@cache
def _application() -> Flask:
    return create_app(make_settings(), make_sessions(make_engine("sqlite://")), Recorder())


def make_app(settings: ControlSettings, sessions: Sessions, recorder: Recorder) -> Flask:
    """Return the application on means of its own. Its routes and their schemas, which take longer
    to make than most tests take, are shared."""
    app = copy(_application())
    app.extensions = {**app.extensions, EXTENSION: Context(sessions, settings, recorder)}
    return app


def make_api(sessions: Sessions, directory: Path, **changes: object) -> Api:
    """Return the application, with the world written."""
    settings = make_settings(image_store=directory / "images", image_max_gib=1, **changes)
    make_world(sessions, directory / "images")
    recorder = Recorder(reply=lambda question: tell(sessions, question, "<domain/>"))
    return Api(make_app(settings, sessions, recorder), sessions, recorder)


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


@pytest.fixture(scope="module")
def restored_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    """A world for all tests of a module, who put it back when they have changed it."""
    with restored(tmp_path_factory.mktemp("restored")) as world:
        yield world
