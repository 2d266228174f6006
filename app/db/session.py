"""Engines and sessions for SQLite and PostgreSQL.

SQLite: write-ahead log, foreign keys on, a busy timeout, and every writing transaction begun as
IMMEDIATE, because a transaction that starts by reading and then writes cannot wait for the lock:
it fails at once (https://sqlite.org/lang_transaction.html, section 2.1).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

Sessions = sessionmaker[Session]

#: Milliseconds that a writer waits for another one before it gives up.
SQLITE_BUSY_MS = 15_000


def make_engine(url: str, *, pool_size: int = 8) -> Engine:
    """Return an engine for a SQLAlchemy URL. Connections are checked before use on PostgreSQL."""
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(url, pool_size=pool_size)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True)


def make_sessions(engine: Engine) -> Sessions:
    """Return the session factory. Values stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def reading(sessions: Sessions) -> Iterator[Session]:
    """One read-only look: on SQLite it takes no write lock. Nothing in it is kept."""
    with sessions() as session:
        session.connection(execution_options={"byre_read_only": True})
        yield session


@contextmanager
def trying(sessions: Sessions) -> Iterator[Session]:
    """A transaction in which everything may be written, and nothing is kept."""
    with sessions() as session:
        try:
            yield session
        finally:
            session.rollback()


def added(session: Session, row: object) -> bool:
    """Write a row; False if a constraint refuses it, and the transaction goes on without it."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late and is DEFERRED; we send it ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MS}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    read_only = connection.get_execution_options().get("byre_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
