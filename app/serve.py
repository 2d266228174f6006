"""The API's process: gunicorn with threads, so that an upload does not block a listing."""

import threading
import time
from typing import Any

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from app.api.auth import EXTENSION
from app.db.session import make_engine, make_sessions
from app.factory import create_app
from app.runs.publish import CeleryPublisher
from app.services import uploads
from app.services.context import Context
from config.celery import make_celery
from config.logs import setup_logs
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks.errors import StoreUnavailable
from tasks.pipelines import COMPUTE_STAGES

#: Seconds after its start at which a process looks for uploads that ended with another one, and
#: how often then.
RECOVER_AFTER_S, RECOVER_EVERY_S = 4.0, 30.0

log = structlog.get_logger(__name__)


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
        context: Context = app.extensions[EXTENSION]
        threading.Thread(target=_recover_uploads, args=[context], daemon=True).start()
        return app


def make_application(settings: ControlSettings) -> Flask:
    """Return the application with a real database and a real broker."""
    url = settings.database_url.get_secret_value()
    # One connection a thread: more would never be used.
    sessions = make_sessions(make_engine(url, pool_size=settings.api_threads))
    celery = make_celery(settings, "api", COMPUTE_STAGES)
    return create_app(settings, sessions, CeleryPublisher(celery, sessions, settings))


def _recover_uploads(context: Context) -> None:
    """Uploads end with the process that takes them: another one lets them be tried again. Not at
    once after its start, since one may have begun this moment."""
    time.sleep(RECOVER_AFTER_S)
    _recover(context, RECOVER_AFTER_S / 2)
    while True:
        time.sleep(RECOVER_EVERY_S)
        _recover(context, RECOVER_EVERY_S)


def _recover(context: Context, silence_s: float) -> None:
    try:
        uploads.recover(context, silence_s)
        uploads.finish_deletions(context, RECOVER_EVERY_S)
    except StoreUnavailable as error:
        log.warning("image_store.unavailable", reason=error.public, **error.facts)
    except Exception:
        # The next round may do better; nobody else would do this one's work.
        log.exception("upload.not_recovered")


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
