"""What every command of `byre` works with, and how it ends when something is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from app.db.session import make_engine, make_sessions
from app.runs.publish import CeleryPublisher
from app.services.context import Context
from config.celery import make_celery
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks.errors import ByreError
from tasks.pipelines import COMPUTE_STAGES


@contextmanager
def open_context() -> Iterator[Context]:
    """Open what a use case works with; an error of ours ends the command with one line."""
    settings = read_settings()
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    sessions = make_sessions(engine)
    publisher = CeleryPublisher(make_celery(settings, "api", COMPUTE_STAGES), sessions, settings)
    try:
        yield Context(sessions, settings, publisher)
    except (ByreError, OSError) as error:
        end(str(error))
    finally:
        engine.dispose()


def read_settings() -> ControlSettings:
    """Return the control plane's settings; wrong ones end the command with one line."""
    try:
        return load_control()
    except SettingsError as error:
        end_with(error)


def end(text: str) -> NoReturn:
    """End the command with one line."""
    sys.stderr.write(f"byre: {text}\n")
    raise typer.Exit(1)
