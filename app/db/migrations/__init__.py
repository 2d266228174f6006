"""Bring a database's tables to a revision, without any configuration file."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

#: Held while tables change, so that processes which start together do not collide.
_LOCK = 0x62797265


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables up to a revision. Safe when several processes do it at once."""
    with engine.begin() as connection:
        _lock(connection)
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the tables down to a revision; `base` is none at all."""
    with engine.begin() as connection:
        _lock(connection)
        command.downgrade(_config(connection), revision)


def _lock(connection: Connection) -> None:
    # SQLite's transaction is IMMEDIATE (app.db.session): it is the lock.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
