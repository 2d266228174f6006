"""The console proxy's process."""

import asyncio
import signal

import structlog
from websockets.asyncio.server import Server

from app.db.session import make_engine, make_sessions
from config.logs import setup_logs
from config.settings import ControlSettings, SettingsError, end_with, load_control
from workers.console.proxy import Proxy

log = structlog.get_logger(__name__)

#: Connections to the database: it is asked when a visit begins, and now and then.
_POOL = 4


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = load_control()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        log.error("console.not_served", address=settings.console_bind, reason=str(error))
        raise SystemExit(1) from error


async def _serve(settings: ControlSettings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    url = settings.database_url.get_secret_value()
    proxy = Proxy(settings, make_sessions(make_engine(url, pool_size=_POOL)))

    def ready(_: Server) -> None:
        log.info("console.served", address=settings.console_bind)

    await proxy.run(stopped, ready)


if __name__ == "__main__":
    main()
