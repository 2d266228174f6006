"""The API's process: gunicorn with threads, so that an upload does not block a listing."""

import threading
from datetime import timedelta
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from app.api.auth import EXTENSION
from app.db.models.base import now
from app.db.session import make_engine, make_sessions
from app.factory import create_app
from app.runs.publish import CeleryPublisher
from app.services import uploads
from app.services.context import Context
from config.celery import make_celery
from config.logs import setup_logs
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks.pipelines import COMPUTE_STAGES

#: Seconds after its start at which a process looks for uploads that ended with another one.
RECOVER_AFTER_S = 4.0


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn, told by our settings instead of a file of its own."""

    def __init__(self, settings: ControlSettings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for key, value in _options(self._settings).items():
            self.cfg.set(key, value)

    def load(self) -> Flask:
        """Make the application; called in each worker, after the fork."""
        app = make_application(self._settings)
        _recover_uploads(app, self._settings)
        return app


def make_application(settings: ControlSettings) -> Flask:
    """Return the application with a real database and a real broker."""
    url = settings.database_url.get_secret_value()
    # One connection a thread: more would never be used.
    sessions = make_sessions(make_engine(url, pool_size=settings.api_threads))
    celery = make_celery(settings, "api", COMPUTE_STAGES)
    return create_app(settings, sessions, CeleryPublisher(celery, sessions, settings))


def _recover_uploads(app: Flask, settings: ControlSettings) -> None:
    """Uploads end with the process that takes them: the one that starts in its place lets them be
    tried again. Not at once, since another one's may have begun this moment."""
    context: Context = app.extensions[EXTENSION]

    def later() -> None:
        uploads.recover(context.sessions, settings, now() - timedelta(seconds=RECOVER_AFTER_S / 2))

    timer = threading.Timer(RECOVER_AFTER_S, later)
    timer.daemon = True
    timer.start()


def _options(settings: ControlSettings) -> dict[str, Any]:
    return {
        "bind": settings.api_bind,
        "workers": settings.api_workers,
        "threads": settings.api_threads,
        "worker_class": "gthread",
        "proc_name": "byre-api",
        # A worker whose threads are all stuck for so long is replaced.
        "timeout": 120,
        # Uploads under way have so long to end when the process is told to stop.
        "graceful_timeout": 20,
        "keepalive": 30,
        # Heartbeats of gunicorn's workers are files; on a disk they can block.
        "worker_tmp_dir": "/dev/shm",  # noqa: S108 - a directory, made by gunicorn
        # X-Forwarded-*: nobody's word is taken yet.
        "forwarded_allow_ips": "",
        # A socket for commanding a running gunicorn, in the home directory: nobody here uses it.
        "control_socket_disable": True,
        # The application writes a line for each request, with its id.
        "accesslog": None,
        "loglevel": settings.log_level.lower(),
    }


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = load_control()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    Server(settings).run()


if __name__ == "__main__":
    main()
