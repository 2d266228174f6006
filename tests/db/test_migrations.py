"""Migrations give the tables that the models name, up and down, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from app.db.migrations import downgrade, upgrade
from app.db.models import Base
from app.db.session import make_engine


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """An engine on a database without tables."""
    engine = make_engine(database_url)
    Base.metadata.drop_all(engine)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_migrated_tables_are_the_models(empty: Engine) -> None:
    upgrade(empty)

    assert tables(empty) == set(Base.metadata.tables)
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again(empty: Engine) -> None:
    upgrade(empty)
    downgrade(empty, "base")
    assert tables(empty) == set()

    upgrade(empty)
    upgrade(empty)
    assert tables(empty) == set(Base.metadata.tables)


def test_processes_that_start_together_do_not_collide(empty: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade(empty), range(4)))

    assert tables(empty) == set(Base.metadata.tables)
